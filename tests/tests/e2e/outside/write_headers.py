"""Writes the records of write.py with the ids of their schemas in headers, every fifth with them before the datum, as writers do that change
from one to the other. Prints what a registry would answer: path and schema, as a JSON object.

Arguments: bootstrap servers, topic, number of records.
"""

import json
import sys

from confluent_kafka import SerializingProducer
from confluent_kafka.schema_registry import SchemaRegistryClient, header_schema_id_serializer
from confluent_kafka.schema_registry.avro import AvroSerializer

from write import KEY, VALUE, row


def main():
    bootstrap, topic, count = sys.argv[1:]
    # Confluent's own double of a registry that gives GUIDs.
    client = SchemaRegistryClient.new_client({"url": "mock://outside"})
    headed = {"schema.id.serializer": header_schema_id_serializer}
    producers = [
        SerializingProducer({
            "bootstrap.servers": bootstrap,
            "key.serializer": AvroSerializer(client, KEY, conf=conf),
            "value.serializer": AvroSerializer(client, VALUE, conf=conf),
        })
        for conf in (headed, {})
    ]
    for number in range(int(count)):
        producer = producers[number % 5 == 4]
        headers = [("trace", b"\x00"), ("empty", None)] if number % 2 else []
        producer.produce(topic, key={"id": number}, value=row(number), partition=0, headers=headers)
        producer.poll(0)
        if number % 5 in (3, 4):
            # Two producers do not keep the order between them.
            if producer.flush(60):
                sys.exit("records were not acknowledged")
    if any(producer.flush(60) for producer in producers):
        sys.exit("records were not acknowledged")
    answers = {}
    for subject in client.get_subjects():
        known = client.get_latest_version(subject)
        answers[f"/schemas/guids/{known.guid}"] = known.schema.schema_str
        answers[f"/schemas/ids/{known.schema_id}"] = known.schema.schema_str
    print(json.dumps(answers))


main()
