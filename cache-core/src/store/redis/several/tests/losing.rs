//! What a partition has lost is told, whatever becomes of the connection that has found it.

use super::*;

fn of_partition_0() -> Option<StoreLoss> {
    Some(StoreLoss::OfPartitions(vec![(0, StoreLoss::Writes(REIGN.into()))]))
}

/// ★ The next connection does not ask for the partition again.
#[tokio::test(start_paused = true)]
async fn a_loss_counts_although_another_partition_gets_no_answer() {
    for failure in [
        Answer::Cut(Vec::new()),
        Answer::raw("-LOADING Redis is loading the dataset in memory\r\n"),
        Answer::raw("-READONLY You can't write against a read only replica.\r\n"),
    ] {
        let node = ScriptedNode::new();
        let told = node.listen();
        node.on_in(0, &scripts::MEET, Answer::text("lost"));
        node.on_in(2, &scripts::MEET, failure);
        node.store.0.each[0].ready(OPERATION_DEADLINE).await.unwrap_err();
        node.on_in(2, &scripts::MEET, Answer::text("whole"));
        node.connect().await.unwrap();
        assert_eq!(told.load(Ordering::SeqCst), 1);
        assert_eq!(node.store.loss(), of_partition_0());
    }
}

/// ★ The same, of the connections that a cache shares with its tenants.
#[tokio::test(start_paused = true)]
async fn a_loss_counts_although_a_tenant_gets_no_answer() {
    for failure in [Answer::Cut(Vec::new()), Answer::Stall] {
        let node = ScriptedNode::new();
        let told = node.listen();
        let tenant = node.store.tenant(&of_namespace("shop@tenant"));
        let declared = tenant.0.at(0).layout.declared();
        let of_tenant = format!("{} 1 {declared}", sent(&scripts::MEET));
        node.on_in(0, &scripts::MEET, Answer::text("lost"));
        node.nodes.at("a").on(&of_tenant, failure);
        node.store.0.each[0].ready(CONNECT_TIMEOUT / 2).await.unwrap_err();
        tokio::time::sleep(CONNECT_TIMEOUT).await;
        node.nodes.at("a").on(&of_tenant, Answer::text("whole"));
        node.connect().await.unwrap();
        assert_eq!(told.load(Ordering::SeqCst), 1);
        assert_eq!((node.store.loss(), tenant.loss()), (of_partition_0(), None));
    }
}

/// Two connections to the node `a`, that nobody uses, with the pool that they are of.
async fn two_connections(nodes: &Nodes) -> ([Connection; 2], Pool) {
    let made = Arc::new(Mutex::new(Vec::new()));
    let kept = made.clone();
    let hooks = Hooks {
        on_connection: Box::new(move |connection| {
            kept.lock().unwrap().push(connection);
            Box::pin(async { Ok(()) })
        }),
        on_new_primary: Box::new(|_| Box::pin(async { Ok(Inheritance::Whole) })),
        on_loss: Box::new(|_| ()),
        on_change: Box::new(|_| ()),
    };
    let config = Config { connections: 2, ..of_namespace("shop") };
    let pool = nodes.hooked(("a:7000", &[]), &probes(), &config, hooks);
    pool.ready(LONG).await.unwrap();
    nodes.at("a").on(&sent(&scripts::MEET), Answer::text("whole"));
    let made: Vec<Connection> = std::mem::take(&mut *made.lock().unwrap());
    (made.try_into().unwrap(), pool)
}

fn meet_in(nodes: &Nodes, partition: usize, answer: Answer) {
    nodes.at("a").on(&format!("{} 1 {}", sent(&scripts::MEET), probes()[partition]), answer);
}

/// ★ The runtime of the connection that has found it stands still, and another one is adopted.
#[tokio::test(start_paused = true)]
async fn a_loss_is_told_before_anybody_can_take_its_partition_for_met() {
    let nodes = Nodes::new();
    let ([first, second], _pool) = two_connections(&nodes).await;
    let losses = PartitionLosses::new(&layouts());
    meet_in(&nodes, 0, Answer::text("lost"));
    losses.meeting()(first).await.unwrap();
    assert_eq!(losses.last(), of_partition_0());
    let asked = nodes.at("a").seen(&sent(&scripts::MEET)).len();
    assert_eq!(losses.meeting()(second).await.unwrap(), Inheritance::Whole);
    assert_eq!(nodes.at("a").seen(&sent(&scripts::MEET)).len(), asked, "it has met them already");
}

/// Two connections meet the node at once. The first one gets its answer first, which is this.
async fn found_by_two(first_answer: &str) -> (Arc<PartitionLosses>, usize) {
    let nodes = Nodes::new();
    let ([first, second], _pool) = two_connections(&nodes).await;
    let (losses, gate) = (PartitionLosses::new(&layouts()), Arc::new(Notify::new()));
    let told = Arc::new(AtomicUsize::new(0));
    let heard = told.clone();
    losses.listen(Box::new(move || {
        heard.fetch_add(1, Ordering::SeqCst);
        true
    }));
    meet_in(&nodes, 0, Answer::ReplyAfter(gate.clone(), text("lost").into_bytes()));
    let late = tokio::spawn(losses.meeting()(second));
    tokio::time::sleep(OPERATION_DEADLINE).await;
    meet_in(&nodes, 0, Answer::text(first_answer));
    losses.meeting()(first).await.unwrap();
    gate.notify_one();
    late.await.unwrap().unwrap();
    (losses, told.load(Ordering::SeqCst))
}

/// A fleet whose processes have many connections would clear as often.
#[tokio::test(start_paused = true)]
async fn a_loss_that_two_connections_find_is_told_once() {
    let (losses, told) = found_by_two("lost").await;
    assert_eq!((losses.last(), told), (of_partition_0(), 1));
}

/// ★ A late reply of the primary before it may have told of more meanwhile.
#[tokio::test(start_paused = true)]
async fn a_loss_counts_although_another_connection_has_found_none() {
    let (losses, told) = found_by_two("whole").await;
    assert_eq!((losses.last(), told), (of_partition_0(), 1));
}
