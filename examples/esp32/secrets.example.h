// Copy this file to secrets.h and fill it in. `mooring device add NAME --dialect smarthome
// --tenant HOME` prints username, client id and password, the password this once.
#pragma once

#define WIFI_SSID "attic"
#define WIFI_PASSWORD "the password of your network"

#define MQTT_HOST "192.168.1.10"  // a name or address that is in the broker's certificate
#define MQTT_PORT 8883
#define MQTT_CLIENT_ID "plug-7"
#define MQTT_USERNAME "plug-7"
#define MQTT_PASSWORD "the password of the device"

#define HOME_ID "home-1"  // the device's tenant
#define DEVICE_ID "plug-7"

// The text of .mooring/pki/ca.crt: the board talks to nobody whose certificate it did not sign.
static const char MQTT_CA[] = R"pem(-----BEGIN CERTIFICATE-----
...
-----END CERTIFICATE-----
)pem";
