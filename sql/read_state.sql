SELECT "kind", "cluster", "topic", "incarnation", "partition", "next_offset", "serial", "generation", "plan_id", "signal_offset", "partitions"
FROM {state}
ORDER BY "kind", "partition";
