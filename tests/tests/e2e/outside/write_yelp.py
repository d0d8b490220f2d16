"""Writes messages of Yelp's Data Pipeline with fastavro and encrypts some of them with pyca's cryptography: changes of a small table, among
them changed keys and deletes. Prints the table as it is in the end, as a JSON array of rows.

Arguments: bootstrap servers, registry URL, topic, number of changes, the key in hex.
"""

import base64
import io
import json
import os
import random
import sys
import uuid

import fastavro
from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

ENVELOPE = fastavro.parse_schema({
    "type": "record", "namespace": "yelp.data_pipeline", "name": "envelope", "fields": [
        {"name": "uuid", "type": {"type": "fixed", "name": "uuid", "size": 16}},
        {"name": "message_type", "type": {"type": "enum", "name": "message_type", "symbols": [
            "create", "update", "delete", "refresh", "heartbeat", "monitor", "registration", "log"]}},
        {"name": "schema_id", "type": "int"},
        {"name": "payload", "type": "bytes"},
        {"name": "previous_payload", "type": ["null", "bytes"], "default": None},
        {"name": "meta", "type": ["null", {"type": "array", "items": {
            "type": "record", "name": "meta_attribute", "fields": [
                {"name": "schema_id", "type": "int"}, {"name": "payload", "type": "bytes"}]}}], "default": None},
        {"name": "encryption_type", "type": ["null", "string"], "default": None},
        {"name": "timestamp", "type": "int"}]})
ORDERS = {
    "type": "record", "name": "orders", "fields": [
        {"name": "id", "type": "int", "pkey": 2},
        {"name": "region", "type": "string", "pkey": 1, "fixlen": 2},
        {"name": "note", "type": ["null", "string"], "maxlen": 20, "default": None}]}
VECTOR = {"type": "fixed", "namespace": "yelp.data_pipeline", "name": "initialization_vector", "size": 16}


def datum(schema, value):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, value)
    return out.getvalue()


def encrypt(key, vector, payload):
    # As the pipeline's own producer pads.
    length = 16 - len(payload) % 16
    encryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    return encryptor.update(payload + bytes([length]) * length) + encryptor.finalize()


def main():
    bootstrap, registry, topic, count, key = sys.argv[1:]
    client = SchemaRegistryClient({"url": registry})
    orders_id = client.register_schema(f"{topic}-value", Schema(json.dumps(ORDERS), "AVRO"))
    vector_id = client.register_schema("initialization_vector", Schema(json.dumps(VECTOR), "AVRO"))
    orders, key = fastavro.parse_schema(ORDERS), bytes.fromhex(key)
    pick = random.Random(7)
    table = {}
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})

    def send(number, kind, row, previous=None):
        payload = datum(orders, row)
        previous = previous and datum(orders, previous)
        meta, encryption = None, None
        if number % 3 == 0:
            vector = os.urandom(16)
            meta = [{"schema_id": orders_id, "payload": b"no vector"}, {"schema_id": vector_id, "payload": vector}]
            encryption = "AES_MODE_CBC-4"
            payload = encrypt(key, vector, payload)
            previous = previous and encrypt(key, vector, previous)
        message = b"0" + datum(ENVELOPE, {
            "uuid": uuid.uuid4().bytes, "message_type": kind, "schema_id": orders_id, "payload": payload,
            "previous_payload": previous, "meta": meta, "encryption_type": encryption, "timestamp": 1_500_000_000 + number})
        if number % 7 == 0:
            message = b"a" + base64.urlsafe_b64encode(message)
        producer.produce(topic, value=message, key=datum(orders, row)[:3], partition=0)
        producer.poll(0)

    for number in range(int(count)):
        keys = sorted(table)
        row = {"id": number, "region": pick.choice(["de", "fr", "it"]), "note": pick.choice([None, "", f"note {number}", "Zürich Ω 🦀"])}
        what = pick.random()
        if number % 10 == 0:
            send(number, pick.choice(["heartbeat", "monitor", "registration"]), row)
        elif not keys or what < 0.4:
            table[row["region"], row["id"]] = row
            send(number, pick.choice(["create", "refresh"]), row)
        elif what < 0.8:
            old = table.pop(pick.choice(keys))
            if what < 0.6:
                row = {**old, "note": row["note"]}
            table[row["region"], row["id"]] = row
            send(number, "update", row, old)
        else:
            send(number, "delete", table.pop(pick.choice(keys)))
    if producer.flush(60):
        sys.exit("records were not acknowledged")
    rows = sorted(table.values(), key=lambda row: row["id"])
    print(json.dumps([[str(row["id"]), row["region"], row["note"]] for row in rows]))


main()
