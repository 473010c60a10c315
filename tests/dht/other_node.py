"""A DHT node of libtorrent's on loopback, commanded line by line; ends with its standard input.

node ADDRESS PORT   enters the DHT by that node
knows COUNT         waits until as many nodes have answered it: `knows COUNT`
get KEY             looks for the value of an Ed25519 public key (hex), until there is one: `value SEQUENCE HEX`
"""

import os
import sys
import threading
import time
import warnings

import libtorrent

# The count of nodes is to be had in no other way.
warnings.simplefilter("ignore", DeprecationWarning)

session = libtorrent.session({
    "listen_interfaces": "127.0.0.1:0",
    "enable_dht": True,
    "dht_bootstrap_nodes": "",
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "alert_mask": libtorrent.alert.category_t.dht_notification,
    # All nodes have one address here, which on the internet would be an attack.
    "dht_restrict_routing_ips": False,
    "dht_restrict_search_ips": False,
    "dht_enforce_node_id": False,
    "dht_prefer_verified_node_ids": False,
    "dht_ignore_dark_internet": False,
})


# Whoever waits for an answer that does not come is to see the end of this instead.
patience = threading.Timer(120, os._exit, (1,))
patience.daemon = True
patience.start()


def say(text):
    print(text, flush=True)


def look(key):
    while True:
        session.dht_get_mutable_item(key, b"")
        end = time.monotonic() + 2
        while time.monotonic() < end:
            session.wait_for_alert(100)
            for alert in session.pop_alerts():
                if isinstance(alert, libtorrent.dht_mutable_item_alert) and alert.seq > 0:
                    value = alert.item["value"]
                    say(f"value {alert.seq} {value.hex()}")
                    return


while not session.is_dht_running() or session.listen_port() == 0:
    time.sleep(0.05)
say(f"listening {session.listen_port()}")
for line in sys.stdin:
    word, *rest = line.split()
    if word == "node":
        session.add_dht_node((rest[0], int(rest[1])))
    elif word == "knows":
        while session.status().dht_nodes < int(rest[0]):
            time.sleep(0.05)
        say(f"knows {rest[0]}")
    elif word == "get":
        threading.Thread(target=look, args=(bytes.fromhex(rest[0]),), daemon=True).start()
