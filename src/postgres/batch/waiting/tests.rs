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

fn begin(batches: &Batches<Number>, number: u8) -> Option<Ticket<'_, Number>> {
    match batches.begin(&Arc::new(Number(number))) {
        Begun::Now => None,
        Begun::Waits(ticket) => Some(ticket),
    }
}

fn taken(batches: &Batches<Number>) -> Vec<u8> {
    let taken = batches.take().into_iter();
    taken.map(|it| it.request.0).collect()
}

#[test]
fn requests_wait_for_company_only_while_a_statement_is_under_way() {
    let batches = Batches::default();
    assert!(begin(&batches, 0).is_none());
    let waits = begin(&batches, 1);
    assert!(waits.is_some(), "one is under way");
    assert!(batches.end(), "the next statement is for those who wait");
    assert_eq!(taken(&batches), [1]);
    assert!(!batches.end(), "nobody waits");
    assert_eq!(batches.state().under_way, 0);
}

#[test]
fn two_statements_are_under_way_if_more_wait_than_fit_into_one() {
    let batches = Batches::default();
    batches.state().room = 3;
    assert!(begin(&batches, 0).is_none());
    let _waiting: Vec<_> = (1..=3)
        .map(|number| begin(&batches, number).expect("waits"))
        .collect();
    assert!(begin(&batches, 4).is_none(), "the three would fill one");
    let _waits = begin(&batches, 5).expect("two are under way");
    assert!(batches.end(), "for the three");
    assert_eq!(taken(&batches), [1, 2, 3]);
    assert!(!batches.end(), "the other one's end is soon enough");
    assert!(batches.end(), "for the last");
    assert_eq!(taken(&batches), [5]);
    assert!(!batches.end());
    assert_eq!(batches.state().under_way, 0);
}

#[tokio::test]
async fn slow_statements_are_shared_by_fewer_and_then_by_none() {
    let batches = Batches::default();
    assert!(begin(&batches, 0).is_none());
    let mut first = begin(&batches, 1).expect("waits");
    let mut room = FIRST_ROOM;
    while room > 1 {
        assert_eq!(batches.state().room, room);
        assert_eq!(batches.state().waiting.len(), 1);
        batches.learn(1, SLOW);
        room /= 2;
    }
    assert!(first.answer().await.is_none(), "asks by itself");
    assert!(begin(&batches, 2).is_none(), "nobody waits");
    batches.learn(1, SLOW / 2);
    batches.learn(1, SLOW / 2);
    assert_eq!(
        batches.state().room,
        2,
        "one request says nothing about two"
    );
    for _ in 0..20 {
        batches.learn(MOST_ROOM, SLOW / 2);
    }
    assert_eq!(batches.state().room, MOST_ROOM);
    assert!(begin(&batches, 3).is_some());
}

#[test]
fn a_batch_takes_those_who_still_wait_in_their_order() {
    let batches = Batches::default();
    assert!(begin(&batches, 0).is_none());
    let mut tickets: Vec<_> = (0..4)
        .map(|number| begin(&batches, number).expect("waits"))
        .collect();
    assert!(begin(&batches, 0).is_none(), "a batch is full");
    let more = (4..6).map(|number| begin(&batches, number).expect("waits"));
    tickets.extend(more);
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
    assert!(begin(&batches, 0).is_none());
    let mut ticket = begin(&batches, 1).expect("waits");
    assert!(batches.end());
    batches.give_up();
    assert!(ticket.answer().await.is_none());
    assert_eq!(batches.state().under_way, 0);
}
