"""Takes so many messages from a queue and writes each as a line of JSON, with its properties."""
import json
import sys

import pika

url, queue, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
for method, properties, body in channel.consume(queue, inactivity_timeout=60):
    if method is None:
        sys.exit("no message came")
    channel.basic_ack(method.delivery_tag)
    message = {
        "id": properties.message_id,
        "correlation": properties.correlation_id,
        "type": properties.type,
        "persistent": properties.delivery_mode == 2,
        "body": json.loads(body),
    }
    print(json.dumps(message), flush=True)
    count -= 1
    if count == 0:
        break
connection.close()
