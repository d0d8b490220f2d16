"""Writes records as Confluent's own client and serializers do: nobody here wrote how these bytes look.

Arguments: bootstrap servers, registry URL, topic, number of records.
"""

import datetime
import decimal
import sys

from confluent_kafka import SerializingProducer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer

KEY = '{"type": "record", "name": "Key", "fields": [{"name": "id", "type": "long"}]}'
VALUE = """
{"type": "record", "name": "Measure", "namespace": "outside", "fields": [
  {"name": "id", "type": "long"},
  {"name": "Station", "type": "string"},
  {"name": "reading", "type": ["double", "null"]},
  {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 3}},
  {"name": "day", "type": {"type": "int", "logicalType": "date"}},
  {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
  {"name": "flag", "type": ["null", "boolean"], "default": null},
  {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["WARM", "COLD"]}}
]}
"""
TEXTS = ["", "plain", "with, comma", 'with "quotes"', "two\nlines", "Zürich Ω 🦀", "\\N", "NULL", "  blanks  "]


def row(number):
    return {
        "id": number,
        "Station": TEXTS[number % len(TEXTS)],
        "reading": None if number % 7 == 0 else number / 8,
        "price": decimal.Decimal(number * 1001 - 500_000).scaleb(-3),
        "day": datetime.date(1970, 1, 1) + datetime.timedelta(days=number * 13 - 4000),
        "at": datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(microseconds=number * 1_234_567),
        "flag": [None, True, False][number % 3],
        "kind": ["WARM", "COLD"][number % 2],
    }


def main():
    bootstrap, registry, topic, count = sys.argv[1:]
    client = SchemaRegistryClient({"url": registry})
    producer = SerializingProducer({
        "bootstrap.servers": bootstrap,
        "key.serializer": AvroSerializer(client, KEY),
        "value.serializer": AvroSerializer(client, VALUE),
    })
    for number in range(int(count)):
        producer.produce(topic, key={"id": number}, value=row(number), partition=0)
        producer.poll(0)
    left = producer.flush(60)
    if left:
        sys.exit(f"{left} records were not acknowledged")


if __name__ == "__main__":
    main()
