"""Writes the same rows as JSON with JSON Schema and as Protobuf by Confluent's serializers, their schemas in the registry, each with another
that it refers to. Prints the rows as a JSON array.

Arguments: bootstrap servers, registry URL, topic of JSON, topic of Protobuf, number of rows.
"""

import json
import sys

from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

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
START = 1_767_225_600  # 2026-01-01
FIELD = descriptor_pb2.FieldDescriptorProto


def compiled():
    """What protoc would make of two files:

    package place; enum Region { de = 0; fr = 1; }
    package row;   message Unused { int32 nothing = 1; }
                   message Row { int64 id = 1; place.Region region = 2; optional double reading = 3;
                                 google.protobuf.Timestamp at = 4; repeated string tags = 5; }
    """
    place = descriptor_pb2.FileDescriptorProto(name="place.proto", package="place", syntax="proto3")
    region = place.enum_type.add(name="Region")
    region.value.add(name="de", number=0)
    region.value.add(name="fr", number=1)
    row = descriptor_pb2.FileDescriptorProto(name="row.proto", package="row", syntax="proto3")
    row.dependency.extend(["place.proto", "google/protobuf/timestamp.proto"])
    row.message_type.add(name="Unused").field.add(name="nothing", number=1, type=FIELD.TYPE_INT32, label=FIELD.LABEL_OPTIONAL)
    message = row.message_type.add(name="Row")
    message.oneof_decl.add(name="_reading")

    def field(name, number, kind, label=FIELD.LABEL_OPTIONAL, **more):
        message.field.add(name=name, number=number, type=kind, label=label, **more)

    field("id", 1, FIELD.TYPE_INT64)
    field("region", 2, FIELD.TYPE_ENUM, type_name=".place.Region")
    field("reading", 3, FIELD.TYPE_DOUBLE, proto3_optional=True, oneof_index=0)
    field("at", 4, FIELD.TYPE_MESSAGE, type_name=".google.protobuf.Timestamp")
    field("tags", 5, FIELD.TYPE_STRING, label=FIELD.LABEL_REPEATED)
    pool = descriptor_pool.Default()
    pool.Add(place)
    pool.Add(row)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("row.Row"))


def json_serializer(client, topic):
    subject = f"{topic}-place"
    client.register_schema(subject, Schema(json.dumps(PLACE_JSON), "JSON"))
    schema = Schema(json.dumps(ROW_JSON), "JSON", [SchemaReference("place.json", subject, 1)])
    return JSONSerializer(schema, client)


def main():
    bootstrap, registry, json_topic, proto_topic, count = sys.argv[1:]
    client = SchemaRegistryClient({"url": registry})
    Row = compiled()
    in_json = json_serializer(client, json_topic)
    # The file that Row imports is called otherwise in every test.
    in_proto = ProtobufSerializer(
        Row, client, {"use.deprecated.format": False, "reference.subject.name.strategy": lambda _, file: f"{proto_topic}-{file.name}"}
    )
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    rows = []
    for number in range(int(count)):
        row = {
            "id": number, "region": ["de", "fr"][number % 2], "reading": None if number % 3 == 0 else number / 4,
            "tags": ["Zürich", "a,b", '"q"'][: number % 4],
        }
        minutes, seconds = divmod(number, 60)
        at = f"2026-01-01T{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
        message = Row(id=number, region=number % 2, at=timestamp_pb2.Timestamp(seconds=START + number), tags=row["tags"])
        if row["reading"] is not None:
            message.reading = row["reading"]
        value = lambda topic: SerializationContext(topic, MessageField.VALUE)
        producer.produce(json_topic, value=in_json({**row, "at": at + "Z"}, value(json_topic)), partition=0)
        producer.produce(proto_topic, value=in_proto(message, value(proto_topic)), partition=0)
        producer.poll(0)
        reading = None if row["reading"] is None else f'{row["reading"]:g}'
        rows.append([str(number), row["region"], reading, at.replace("T", " ") + "+00",
                     json.dumps(row["tags"], separators=(",", ":"), ensure_ascii=False)])
    if producer.flush(60):
        sys.exit("records were not acknowledged")
    print(json.dumps(rows))


main()
