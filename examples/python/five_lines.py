"""A device in five lines. Run: MOORING_CODE=... MOORING_URL=https://... python five_lines.py"""

import os
import time

from mooring_device import Device

with Device.claim(os.environ["MOORING_CODE"], url=os.environ["MOORING_URL"]) as device:
    for count in range(int(os.environ.get("READINGS", "1000000"))):
        device.publish({"load": os.getloadavg()[0], "count": count})
        time.sleep(float(os.environ.get("INTERVAL", "10")))
