"""Writes the same rows as JSON with JSON Schema and as Protobuf, their schemas in the registry, each with another that it refers to. Confluent's
client makes the frames; the Protobuf is written out by hand. Prints the rows as a JSON array.

Arguments: bootstrap servers, registry URL, topic of JSON, topic of Protobuf, number of rows.
"""

import json
import struct
import sys

from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.serde import SchemaId

PLACE_JSON = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "definitions": {"region": {"type": "string", "enum": ["de", "fr"]}}}
ROW_JSON = {
    "$schema": "http://json-schema.org/draft-07/schema#", "title": "Row", "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "region": {"$ref": "place.json#/definitions/region"},
        "reading": {"oneOf": [{"type": "null"}, {"type": "number"}]},
        "at": {"type": "string", "format": "date-time"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["id", "region", "at", "tags"],
}
PLACE_PROTO = 'syntax = "proto3"; package place; enum Region { de = 0; fr = 1; }'
ROW_PROTO = """syntax = "proto3";
package row;
import "place.proto";
import "google/protobuf/timestamp.proto";
message Unused { int32 nothing = 1; }
message Row {
  int64 id = 1;
  place.Region region = 2;
  optional double reading = 3;
  google.protobuf.Timestamp at = 4;
  repeated string tags = 5;
}
"""
START = 1_767_225_600  # 2026-01-01


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def proto(row):
    out = field(1, row["id"]) + field(2, ["de", "fr"].index(row["region"]))
    if row["reading"] is not None:
        out += field(3, row["reading"])
    out += field(4, field(1, START + row["id"]))
    return out + b"".join(field(5, tag.encode()) for tag in row["tags"])


def main():
    bootstrap, registry, json_topic, proto_topic, count = sys.argv[1:]
    client = SchemaRegistryClient({"url": registry})

    def register(topic, name, place, row, kind):
        subject = f"{topic}-place"
        client.register_schema(subject, Schema(place, kind))
        references = [SchemaReference(name, subject, 1)]
        return client.register_schema(f"{topic}-value", Schema(row, kind, references))

    json_id = register(json_topic, "place.json", json.dumps(PLACE_JSON), json.dumps(ROW_JSON), "JSON")
    proto_id = register(proto_topic, "place.proto", PLACE_PROTO, ROW_PROTO, "PROTOBUF")
    json_frame = SchemaId("JSON", json_id).id_to_bytes()
    proto_frame = SchemaId("PROTOBUF", proto_id, message_indexes=[1]).id_to_bytes()
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    rows = []
    for number in range(int(count)):
        row = {
            "id": number, "region": ["de", "fr"][number % 2], "reading": None if number % 3 == 0 else number / 4,
            "tags": ["Zürich", "a,b", '"q"'][: number % 4],
        }
        minutes, seconds = divmod(number, 60)
        at = f"2026-01-01T{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
        producer.produce(json_topic, value=json_frame + json.dumps({**row, "at": at + "Z"}, ensure_ascii=False).encode(), partition=0)
        producer.produce(proto_topic, value=proto_frame + proto(row), partition=0)
        producer.poll(0)
        reading = None if row["reading"] is None else f'{row["reading"]:g}'
        rows.append([str(number), row["region"], reading, at.replace("T", " ") + "+00",
                     json.dumps(row["tags"], separators=(",", ":"), ensure_ascii=False)])
    if producer.flush(60):
        sys.exit("records were not acknowledged")
    print(json.dumps(rows))


main()
