"""Sends jobs in EasyJobs' own format: the default exchange, the namespace as routing key, no properties at all."""
import json
import sys

import pika

url, queue, jobs = sys.argv[1], sys.argv[2], json.load(sys.stdin)
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
for job in jobs:
    channel.basic_publish(exchange="", routing_key=queue, body=json.dumps(job).encode())
connection.close()
