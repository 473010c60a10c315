"""A DHT node of libtorrent's at ADDRESS:PORT among other such nodes; serves until it is killed.

    dht_node.py ADDRESS:PORT [ADDRESS:PORT...]

Says `listens` when it does, and `knows COUNT` whenever the number of nodes in its routing table has changed.
"""

import sys
import time
import warnings

import libtorrent

# The count of nodes is to be had in no other way.
warnings.simplefilter("ignore", DeprecationWarning)

listen, *others = sys.argv[1:]
session = libtorrent.session({
    "listen_interfaces": listen,
    "enable_dht": True,
    "dht_bootstrap_nodes": "",
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    # The labs' internet has addresses of networks that no host of the real one sends from; all else is as it is there.
    "dht_ignore_dark_internet": False,
})
while not session.is_dht_running() or session.listen_port() == 0:
    time.sleep(0.05)
print("listens", flush=True)
known = 0
while True:
    now = session.status().dht_nodes
    if now != known:
        known = now
        print(f"knows {known}", flush=True)
    # Those that have just started have not heard us yet. By itself libtorrent looks around every five seconds, and
    # what is named to it as "dht_bootstrap_nodes" stays out of its routing table.
    if known < len(others) // 2:
        for other in others:
            host, port = other.split(":")
            session.add_dht_node((host, int(port)))
    time.sleep(0.2)
