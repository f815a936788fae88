//! What becomes of events while the table works, fails or hangs.

use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::*;

/// A table in memory that can be out of order.
#[derive(Default)]
struct Memory {
    down: AtomicBool,
    hangs: AtomicBool,
    statements: AtomicUsize,
    rows: Mutex<Vec<String>>,
}

#[async_trait]
impl AuditTable for Memory {
    async fn append(&self, events: &[AuditEvent]) -> Result<(), Outage> {
        assert!((1..=500).contains(&events.len()));
        self.statements.fetch_add(1, Ordering::Relaxed);
        if self.hangs.load(Ordering::Relaxed) {
            sleep(Duration::from_secs(3600)).await;
        }
        if self.down.load(Ordering::Relaxed) {
            return Err(Outage::DatabaseUnavailable);
        }
        let ids = events.iter().map(|event| event.request_id.clone());
        self.rows.lock().expect("lock").extend(ids);
        Ok(())
    }
}

struct Trail {
    table: Arc<Memory>,
    metrics: Arc<Metrics>,
    trail: AuditTrail,
    sent: usize,
}

impl Trail {
    fn start() -> Self {
        let table = Arc::<Memory>::default();
        let metrics = Arc::new(Metrics::new(0.0));
        let trail = AuditTrail::start(table.clone(), metrics.clone());
        Self {
            table,
            metrics,
            trail,
            sent: 0,
        }
    }

    fn record(&mut self, events: usize) {
        for _ in 0..events {
            self.sent += 1;
            self.trail.record(AuditEvent {
                id: [0; 16],
                at: SystemTime::UNIX_EPOCH,
                event: "logged in",
                request_id: self.sent.to_string(),
                peer: IpAddr::from([192, 0, 2, 7]),
                method: None,
                user_id: None,
                identity: None,
                caller_id: None,
                reason: None,
                path: None,
                provider: None,
            });
        }
    }

    fn rows(&self) -> usize {
        self.table.rows.lock().expect("lock").len()
    }

    fn lost(&self) -> usize {
        let text = self.metrics.encode(&[]);
        let name = "label_studio_gate_audit_events_lost_total ";
        let count = text.lines().find_map(|line| line.strip_prefix(name));
        count.expect("the metric").parse().expect("a number")
    }
}

#[tokio::test(start_paused = true)]
async fn events_are_written_in_their_order_and_in_batches() {
    let mut trail = Trail::start();
    trail.record(1200);
    sleep(Duration::from_secs(5)).await;
    let rows = trail.table.rows.lock().expect("lock").clone();
    let expected: Vec<String> = (1..=1200).map(|n| n.to_string()).collect();
    assert_eq!(rows, expected);
    assert_eq!(trail.table.statements.load(Ordering::Relaxed), 3);
    assert_eq!(trail.lost(), 0);
}

#[tokio::test(start_paused = true)]
async fn events_wait_for_the_table_and_are_lost_only_beyond_the_queue() {
    let mut trail = Trail::start();
    trail.table.down.store(true, Ordering::Relaxed);
    trail.record(100);
    sleep(Duration::from_secs(300)).await;
    let attempts = trail.table.statements.load(Ordering::Relaxed);
    assert!((10..60).contains(&attempts), "{attempts}");
    trail.record(QUEUE + 1000);
    let lost = trail.lost();
    assert!((500..=1000).contains(&lost), "{lost}");
    trail.table.down.store(false, Ordering::Relaxed);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(trail.rows() + lost, trail.sent);
    assert_eq!(trail.lost(), lost);
}

#[tokio::test(start_paused = true)]
async fn the_end_writes_what_is_left() {
    let mut trail = Trail::start();
    trail.record(700);
    trail.trail.finish().await;
    assert_eq!(trail.rows(), 700);
    trail.record(1);
    assert_eq!(trail.lost(), 1, "too late");
    trail.trail.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_no_table_forever() {
    for hangs in [true, false] {
        let mut trail = Trail::start();
        trail.table.hangs.store(hangs, Ordering::Relaxed);
        trail.table.down.store(true, Ordering::Relaxed);
        trail.record(700);
        sleep(Duration::from_secs(1)).await;
        let begun = Instant::now();
        trail.trail.finish().await;
        assert!(begun.elapsed() <= Duration::from_secs(6));
        assert_eq!((trail.rows(), trail.lost()), (0, 700));
    }
}

/// A reload drops the trail.
#[tokio::test(start_paused = true)]
async fn a_dropped_trail_writes_what_is_left() {
    let mut trail = Trail::start();
    trail.record(700);
    let table = trail.table.clone();
    drop(trail);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(table.rows.lock().expect("lock").len(), 700);
}
