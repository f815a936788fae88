use super::*;

#[tokio::test(start_paused = true)]
async fn one_of_several_callers_reads_the_schema_when_it_is_due() {
    let known = Known::default();
    assert!(!known.is_due(COOLDOWN), "it was read just now");
    tokio::time::advance(COOLDOWN).await;
    assert!(!known.is_due(INTERVAL));
    assert!(known.is_due(COOLDOWN));
    assert!(!known.is_due(COOLDOWN), "another caller is reading it");
    tokio::time::advance(INTERVAL).await;
    assert!(known.is_due(INTERVAL));
    assert!(!known.is_due(COOLDOWN));
}
