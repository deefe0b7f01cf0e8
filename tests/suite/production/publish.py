"""Publishes tasks with nothing but an AMQP client: python3 publish.py AMQP-URL UUID"""
import sys

import pika

url, uuid = sys.argv[1:]
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
channel.confirm_delivery()


def publish(body, **properties):
    channel.basic_publish(
        exchange="upbeat.default",
        routing_key="default",
        body=body,
        properties=pika.BasicProperties(**properties),
        mandatory=True,
    )


task = {"type": "work", "content_type": "application/json"}
# An id of one's own, published twice.
publish(b'{"order": 17}', message_id="order-17", **task)
publish(b'{"order": 17}', message_id="order-17", **task)
# A UUID.
publish(b"[1, 2]", message_id=uuid, **task)
# MessagePack: the map {"a": 1}.
publish(b"\x81\xa1a\x01", message_id="packed", type="work", content_type="application/msgpack")
# Without an id.
publish(b"null", **task)
# What nobody can run.
publish(b"{}", message_id="nameless", content_type="application/json")
publish(b"{not json", message_id="garbled", **task)
publish(b"<a/>", message_id="foreign", type="work", content_type="application/xml")
publish(b"{}", message_id="headers", headers={"upbeat-seq": "seven"}, **task)
connection.close()
