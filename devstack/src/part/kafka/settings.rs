//! A broker's settings file.

use super::cluster::Broker;

/// The settings of `broker`, one of `all`.
pub(super) fn of(broker: &Broker, all: &[Broker]) -> String {
    // Few internal partitions because each costs a file handle and start time; no waiting for more group members, since tests come and
    // go; retention off, since events may carry timestamps of the past. With three brokers every internal topic survives the loss of one.
    let voters: Vec<String> = all
        .iter()
        .map(|broker| format!("{}@127.0.0.1:{}", broker.id, broker.controller_port))
        .collect();
    let (replication, in_sync) = if all.len() < 3 { (1, 1) } else { (3, 2) };
    format!(
        "process.roles=broker,controller\n\
         node.id={id}\n\
         controller.quorum.voters={voters}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=PLAINTEXT\n\
         log.dirs={log}\n\
         log.retention.ms=-1\n\
         log.retention.check.interval.ms=1000\n\
         log.cleaner.backoff.ms=1000\n\
         min.insync.replicas={in_sync}\n\
         default.replication.factor={replication}\n\
         offsets.topic.replication.factor={replication}\n\
         offsets.topic.num.partitions=4\n\
         transaction.state.log.replication.factor={replication}\n\
         transaction.state.log.min.isr={in_sync}\n\
         transaction.state.log.num.partitions=4\n\
         share.coordinator.state.topic.replication.factor={replication}\n\
         share.coordinator.state.topic.min.isr={in_sync}\n\
         share.coordinator.state.topic.num.partitions=4\n\
         group.initial.rebalance.delay.ms=0\n\
         broker.session.timeout.ms=6000\n\
         replica.lag.time.max.ms=5000\n\
         auto.create.topics.enable=false\n",
        id = broker.id,
        port = broker.port,
        voters = voters.join(","),
        controller = broker.controller_port,
        log = broker.log().display(),
    )
}
