use async_trait::async_trait;

use super::*;
use crate::postgres::Postgres;

struct Number(u8);

#[async_trait]
impl Shared for Number {
    type Answer = u8;

    const STATEMENT: &'static str = "number";

    fn batches(_: &Postgres) -> &Batches<Self> {
        unreachable!("no statement is sent")
    }

    async fn ask(_: &Postgres, _: &[Arc<Self>]) -> Result<(Vec<u8>, Duration), Outage> {
        unreachable!("no statement is sent")
    }
}

fn leads(batches: &Batches<Number>, number: u8) -> Ticket<'_, Number> {
    let (ticket, leads) = batches.begin(&Arc::new(Number(number)));
    assert!(leads, "{number} sends the next statement");
    ticket
}

fn waits(batches: &Batches<Number>, number: u8) -> Ticket<'_, Number> {
    let (ticket, leads) = batches.begin(&Arc::new(Number(number)));
    assert!(!leads, "a statement comes without {number}");
    ticket
}

fn taken(batches: &Batches<Number>) -> Vec<u8> {
    let taken = batches.take().into_iter();
    taken.map(|it| it.request.0).collect()
}

#[test]
fn requests_before_the_statement_is_sent_share_it_and_later_ones_share_the_next() {
    let batches = Batches::default();
    let _leads = leads(&batches, 0);
    let _waits = [1, 2].map(|number| waits(&batches, number));
    assert_eq!(taken(&batches), [0, 1, 2]);
    let _later = waits(&batches, 3);
    assert!(batches.end(), "the next statement is for those who wait");
    assert_eq!(taken(&batches), [3]);
    assert!(!batches.end(), "nobody waits");
    assert_eq!(batches.state().under_way, 0);
}

#[test]
fn two_statements_are_under_way_if_more_wait_than_fit_into_one() {
    let batches = Batches::default();
    batches.state().room = 3;
    let _first = leads(&batches, 0);
    assert_eq!(taken(&batches), [0]);
    let _waiting = [1, 2, 3].map(|number| waits(&batches, number));
    let _second = leads(&batches, 4);
    let _waits = waits(&batches, 5);
    assert_eq!(taken(&batches), [1, 2, 3]);
    assert!(!batches.end(), "the other one's end is soon enough");
    assert!(batches.end(), "for the last");
    assert_eq!(taken(&batches), [4, 5]);
    assert!(!batches.end());
    assert_eq!(batches.state().under_way, 0);
}

#[test]
fn slow_statements_are_shared_by_fewer_unless_they_carried_few() {
    let batches = Batches::<Number>::default();
    let learn = |count, took| {
        batches.learn(count, took);
        batches.state().room
    };
    assert_eq!(
        learn(INITIAL_ROOM - 1, SLOW / 2),
        INITIAL_ROOM,
        "it had room"
    );
    for _ in 0..20 {
        learn(MAX_ROOM, SLOW / 2);
    }
    assert_eq!(learn(FEW, SLOW), MAX_ROOM, "the disk is slow");
    assert_eq!(learn(MAX_ROOM, SLOW), MAX_ROOM / 2);
    assert_eq!(learn(MAX_ROOM / 2, SLOW), FEW);
    assert_eq!(learn(FEW, SLOW), FEW);
    assert_eq!(learn(FEW, SLOW / 2), MAX_ROOM / 2);
}

#[test]
fn a_batch_takes_those_who_still_wait_in_their_order() {
    let batches = Batches::default();
    let mut tickets = vec![leads(&batches, 0)];
    tickets.extend([1, 2, 3].map(|number| waits(&batches, number)));
    tickets.push(leads(&batches, 4));
    tickets.push(waits(&batches, 5));
    batches.state().room = 2;
    drop(tickets.remove(1));
    assert!(tickets[1].withdraw(), "number 2");
    assert!(!tickets[1].withdraw(), "only once");
    assert_eq!(taken(&batches), [0, 3]);
    assert!(!tickets[0].withdraw(), "it is on its way");
    assert_eq!(taken(&batches), [4, 5]);
    assert!(taken(&batches).is_empty());
}

#[tokio::test]
async fn those_who_wait_in_vain_ask_by_themselves() {
    let batches = Batches::default();
    let mut ticket = leads(&batches, 1);
    batches.give_up();
    assert!(ticket.answer().await.is_none());
    assert_eq!(batches.state().under_way, 0);
}
