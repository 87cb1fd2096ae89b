BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE api_keys (
	id INTEGER NOT NULL, 
	prefix VARCHAR(16) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	name VARCHAR(128) NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	tenant VARCHAR(128), 
	created_at BIGINT NOT NULL, 
	expires_at BIGINT, 
	revoked_at BIGINT, 
	CONSTRAINT pk_api_keys PRIMARY KEY (id), 
	CONSTRAINT fk_api_keys_tenant FOREIGN KEY(tenant) REFERENCES tenants (name), 
	CONSTRAINT uq_api_keys_prefix UNIQUE (prefix)
);
INSERT INTO "api_keys" VALUES(1,'d4155a52','e04e42c4ded5cbb1972161d156207bd258a71a1a6e0b8f7abc5a4f7cd74f674c','reader','admin',NULL,1795936837283,NULL,NULL);
CREATE TABLE audit (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at BIGINT NOT NULL, 
	actor VARCHAR(200) NOT NULL, 
	origin VARCHAR(200) DEFAULT '' NOT NULL, 
	action VARCHAR(64) NOT NULL, 
	subject VARCHAR(300) NOT NULL, 
	tenant VARCHAR(128), 
	reason TEXT DEFAULT '' NOT NULL
);
INSERT INTO "audit" VALUES(1,1795936583440,'mooring','local','user.add','admin',NULL,'the first one');
INSERT INTO "audit" VALUES(2,1795936603438,'cli:root','local','device.add','acme:trap-1','acme','');
INSERT INTO "audit" VALUES(3,1795936613260,'cli:root','local','device.add','acme:car-1','acme','');
INSERT INTO "audit" VALUES(4,1795936623738,'cli:root','local','device.add','acme:pump-1','acme','');
INSERT INTO "audit" VALUES(5,1795936631847,'cli:root','local','device.add','acme:boiler-1','acme','');
INSERT INTO "audit" VALUES(6,1795936638596,'cli:root','local','device.add','acme:plug-1','acme','');
INSERT INTO "audit" VALUES(7,1795936644370,'cli:root','local','device.add','acme:sensor-1','acme','');
INSERT INTO "audit" VALUES(8,1795936673806,'cli:root','local','claim.new','claim 1','acme','');
INSERT INTO "audit" VALUES(9,1795936675895,'device:AA:BB:CC:00:00:02','127.0.0.1','claim','acme:aabbcc000002','acme','claim 1');
INSERT INTO "audit" VALUES(10,1795936681401,'cli:root','local','claim.new','claim 2','acme','');
INSERT INTO "audit" VALUES(11,1795936688305,'cli:root','local','device.add','acme:pump-2','acme','');
INSERT INTO "audit" VALUES(12,1795936699660,'cli:root','local','rotation.start','acme:pump-2','acme','yearly');
INSERT INTO "audit" VALUES(13,1795936704406,'mooring','local','rotation.settled','acme:pump-2','acme','the device has used the new password');
INSERT INTO "audit" VALUES(14,1795936717054,'cli:root','local','device.add','acme:pump-3','acme','');
INSERT INTO "audit" VALUES(15,1795936727773,'cli:root','local','rotation.start','acme:pump-3','acme','');
INSERT INTO "audit" VALUES(16,1795936741030,'cli:root','local','device.add','acme:pump-4','acme','');
INSERT INTO "audit" VALUES(17,1795936755570,'cli:root','local','device.add','acme:car-4','acme','');
INSERT INTO "audit" VALUES(18,1795936767678,'cli:root','local','device.add','acme:pump-5','acme','');
INSERT INTO "audit" VALUES(19,1795936775753,'cli:root','local','device.disable','acme:pump-5','acme','stolen');
INSERT INTO "audit" VALUES(20,1795936784096,'cli:root','local','device.add','acme:pump-6','acme','');
INSERT INTO "audit" VALUES(21,1795936793149,'cli:root','local','device.remove','acme:pump-6','acme','');
INSERT INTO "audit" VALUES(22,1795936805047,'cli:root','local','device.add','acme:car-2','acme','');
INSERT INTO "audit" VALUES(23,1795936811784,'cli:root','local','certificate.issue','acme:car-2','acme','c9d9300abfbfb95c0c723e5faf5151286581f33');
INSERT INTO "audit" VALUES(24,1795936816133,'cli:root','local','device.add','acme:car-3','acme','');
INSERT INTO "audit" VALUES(25,1795936821142,'cli:root','local','certificate.issue','acme:car-3','acme','56aaf65696425db2911b78e9da55bac880eb3a59');
INSERT INTO "audit" VALUES(26,1795936826807,'cli:root','local','certificate.revoke','acme:car-3','acme','56aaf65696425db2911b78e9da55bac880eb3a59 keyCompromise');
INSERT INTO "audit" VALUES(27,1795936833640,'cli:root','local','user.add','olga',NULL,'');
INSERT INTO "audit" VALUES(28,1795936837290,'cli:root','local','key.add','reader (d4155a52)',NULL,'');
INSERT INTO "audit" VALUES(29,1795936846728,'cli:root','local','broker_user.create','bridge',NULL,'');
INSERT INTO "audit" VALUES(30,1795936849242,'key:reader','127.0.0.1','mqtt.publish','pulse/acme/pump-4/commands',NULL,'');
INSERT INTO "audit" VALUES(31,1795936849317,'key:reader','127.0.0.1','mqtt.publish','device/commands/car-4',NULL,'');
INSERT INTO "audit" VALUES(32,1795936943232,'cli:root','local','device.add','acme:late-1','acme','');
INSERT INTO "audit" VALUES(33,1795936947247,'cli:root','local','device.disable','acme:boiler-1','acme','sold');
CREATE TABLE broker_events (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at BIGINT NOT NULL, 
	event VARCHAR(32) NOT NULL, 
	username VARCHAR(300), 
	client_id VARCHAR(300), 
	address VARCHAR(64), 
	detail TEXT DEFAULT '' NOT NULL
);
INSERT INTO "broker_events" VALUES(1,1795936583000,'running',NULL,NULL,NULL,'mosquitto version 2.0.11 running');
INSERT INTO "broker_events" VALUES(2,1795936583000,'connected','service:mooring','mooring-control-8e7b347ecad9','127.0.0.1','');
INSERT INTO "broker_events" VALUES(3,1795936583000,'disconnected','service:mooring','mooring-control-8e7b347ecad9','127.0.0.1','');
INSERT INTO "broker_events" VALUES(4,1795936587000,'connected','service:mooring','mooring-ingest','127.0.0.1','');
INSERT INTO "broker_events" VALUES(5,1795936593000,'connected','service:mooring','mooring-serve-vm-1265','127.0.0.1','');
INSERT INTO "broker_events" VALUES(6,1795936597000,'connected','service:mooring','mooring-control-dcc9e97e423f','127.0.0.1','');
INSERT INTO "broker_events" VALUES(7,1795936597000,'disconnected','service:mooring','mooring-control-dcc9e97e423f','127.0.0.1','');
INSERT INTO "broker_events" VALUES(8,1795936603000,'connected','service:mooring','mooring-control-cd1c0036d4c6','127.0.0.1','');
INSERT INTO "broker_events" VALUES(9,1795936603000,'connected','service:mooring','mooring-mark-a4719bb4b85f49e4','127.0.0.1','');
INSERT INTO "broker_events" VALUES(10,1795936603000,'disconnected','service:mooring','mooring-mark-a4719bb4b85f49e4','127.0.0.1','');
INSERT INTO "broker_events" VALUES(11,1795936613000,'connected','service:mooring','mooring-mark-d043ec24e640204e','127.0.0.1','');
INSERT INTO "broker_events" VALUES(12,1795936613000,'disconnected','service:mooring','mooring-mark-d043ec24e640204e','127.0.0.1','');
INSERT INTO "broker_events" VALUES(13,1795936624000,'connected','service:mooring','mooring-mark-72f079c814d5807a','127.0.0.1','');
INSERT INTO "broker_events" VALUES(14,1795936624000,'disconnected','service:mooring','mooring-mark-72f079c814d5807a','127.0.0.1','');
INSERT INTO "broker_events" VALUES(15,1795936632000,'connected','service:mooring','mooring-mark-53c62cae39419349','127.0.0.1','');
INSERT INTO "broker_events" VALUES(16,1795936632000,'disconnected','service:mooring','mooring-mark-53c62cae39419349','127.0.0.1','');
INSERT INTO "broker_events" VALUES(17,1795936638000,'connected','service:mooring','mooring-mark-189213742467bb53','127.0.0.1','');
INSERT INTO "broker_events" VALUES(18,1795936638000,'disconnected','service:mooring','mooring-mark-189213742467bb53','127.0.0.1','');
INSERT INTO "broker_events" VALUES(19,1795936644000,'connected','service:mooring','mooring-mark-052bb415b5595be4','127.0.0.1','');
INSERT INTO "broker_events" VALUES(20,1795936644000,'disconnected','service:mooring','mooring-mark-052bb415b5595be4','127.0.0.1','');
INSERT INTO "broker_events" VALUES(21,1795936648000,'connected','AA:BB:CC:00:00:01','trap-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(22,1795936648000,'disconnected','AA:BB:CC:00:00:01','trap-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(23,1795936648000,'connected','AA:BB:CC:00:00:01','trap-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(24,1795936648000,'disconnected','AA:BB:CC:00:00:01','trap-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(25,1795936648000,'connected','AA:BB:CC:00:00:01','trap-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(26,1795936648000,'disconnected','AA:BB:CC:00:00:01','trap-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(27,1795936648000,'connected','AA:BB:CC:00:00:01','trap-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(28,1795936648000,'disconnected','AA:BB:CC:00:00:01','trap-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(29,1795936651000,'connected','car-1','car-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(30,1795936651000,'disconnected','car-1','car-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(31,1795936655000,'connected','device:acme:pump-1','acme:pump-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(32,1795936655000,'disconnected','device:acme:pump-1','acme:pump-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(33,1795936655000,'connected','device:acme:pump-1','acme:pump-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(34,1795936655000,'disconnected','device:acme:pump-1','acme:pump-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(35,1795936655000,'connected','device:acme:pump-1','acme:pump-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(36,1795936655000,'disconnected','device:acme:pump-1','acme:pump-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(37,1795936655000,'connected','device:acme:pump-1','acme:pump-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(38,1795936655000,'disconnected','device:acme:pump-1','acme:pump-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(39,1795936655000,'connected','device:acme:pump-1','acme:pump-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(40,1795936655000,'disconnected','device:acme:pump-1','acme:pump-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(41,1795936655000,'connected','device:acme:pump-1','acme:pump-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(42,1795936655000,'disconnected','device:acme:pump-1','acme:pump-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(43,1795936655000,'connected','device:acme:pump-1','acme:pump-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(44,1795936655000,'disconnected','device:acme:pump-1','acme:pump-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(45,1795936655000,'connected','device:acme:pump-1','acme:pump-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(46,1795936655000,'disconnected','device:acme:pump-1','acme:pump-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(47,1795936658000,'connected','boiler-1','boiler-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(48,1795936658000,'disconnected','boiler-1','boiler-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(49,1795936658000,'connected','boiler-1','boiler-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(50,1795936658000,'disconnected','boiler-1','boiler-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(51,1795936658000,'connected','boiler-1','boiler-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(52,1795936658000,'disconnected','boiler-1','boiler-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(53,1795936658000,'connected','boiler-1','boiler-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(54,1795936658000,'disconnected','boiler-1','boiler-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(55,1795936658000,'connected','boiler-1','boiler-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(56,1795936658000,'disconnected','boiler-1','boiler-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(57,1795936658000,'connected','boiler-1','boiler-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(58,1795936658000,'disconnected','boiler-1','boiler-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(59,1795936658000,'connected','boiler-1','boiler-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(60,1795936658000,'disconnected','boiler-1','boiler-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(61,1795936662000,'connected','plug-1','plug-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(62,1795936662000,'disconnected','plug-1','plug-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(63,1795936662000,'connected','plug-1','plug-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(64,1795936662000,'disconnected','plug-1','plug-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(65,1795936662000,'connected','plug-1','plug-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(66,1795936662000,'disconnected','plug-1','plug-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(67,1795936666000,'connected','acme/sensor-1','acme:sensor-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(68,1795936666000,'disconnected','acme/sensor-1','acme:sensor-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(69,1795936666000,'connected','acme/sensor-1','acme:sensor-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(70,1795936666000,'disconnected','acme/sensor-1','acme:sensor-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(71,1795936666000,'connected','acme/sensor-1','acme:sensor-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(72,1795936666000,'disconnected','acme/sensor-1','acme:sensor-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(73,1795936666000,'connected','acme/sensor-1','acme:sensor-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(74,1795936666000,'disconnected','acme/sensor-1','acme:sensor-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(75,1795936666000,'connected','acme/sensor-1','acme:sensor-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(76,1795936666000,'disconnected','acme/sensor-1','acme:sensor-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(77,1795936666000,'connected','acme/sensor-1','acme:sensor-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(78,1795936666000,'disconnected','acme/sensor-1','acme:sensor-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(79,1795936666000,'connected','acme/sensor-1','acme:sensor-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(80,1795936666000,'disconnected','acme/sensor-1','acme:sensor-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(81,1795936666000,'connected','acme/sensor-1','acme:sensor-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(82,1795936666000,'disconnected','acme/sensor-1','acme:sensor-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(83,1795936666000,'connected','acme/sensor-1','acme:sensor-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(84,1795936666000,'disconnected','acme/sensor-1','acme:sensor-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(85,1795936666000,'connected','acme/sensor-1','acme:sensor-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(86,1795936666000,'disconnected','acme/sensor-1','acme:sensor-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(87,1795936666000,'connected','acme/sensor-1','acme:sensor-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(88,1795936666000,'disconnected','acme/sensor-1','acme:sensor-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(89,1795936666000,'connected','acme/sensor-1','acme:sensor-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(90,1795936666000,'disconnected','acme/sensor-1','acme:sensor-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(91,1795936666000,'connected','acme/sensor-1','acme:sensor-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(92,1795936666000,'disconnected','acme/sensor-1','acme:sensor-1','127.0.0.1','');
INSERT INTO "broker_events" VALUES(93,1795936676000,'connected','service:mooring','mooring-mark-a5351c17a4227371','127.0.0.1','');
INSERT INTO "broker_events" VALUES(94,1795936676000,'disconnected','service:mooring','mooring-mark-a5351c17a4227371','127.0.0.1','');
INSERT INTO "broker_events" VALUES(95,1795936676000,'connected','AA:BB:CC:00:00:02','aabbcc000002','127.0.0.1','');
INSERT INTO "broker_events" VALUES(96,1795936676000,'disconnected','AA:BB:CC:00:00:02','aabbcc000002','127.0.0.1','');
INSERT INTO "broker_events" VALUES(97,1795936688000,'connected','service:mooring','mooring-mark-9392fa2d4d108d14','127.0.0.1','');
INSERT INTO "broker_events" VALUES(98,1795936688000,'disconnected','service:mooring','mooring-mark-9392fa2d4d108d14','127.0.0.1','');
INSERT INTO "broker_events" VALUES(99,1795936689000,'connected','device:acme:pump-2','acme:pump-2','127.0.0.1','');
INSERT INTO "broker_events" VALUES(100,1795936700000,'connected','service:mooring','mooring-control-3f8d83a3e270','127.0.0.1','');
INSERT INTO "broker_events" VALUES(101,1795936700000,'disconnected','device:acme:pump-2','acme:pump-2','127.0.0.1','');
INSERT INTO "broker_events" VALUES(102,1795936703000,'connected','device:acme:pump-2','acme:pump-2','127.0.0.1','');
INSERT INTO "broker_events" VALUES(103,1795936703000,'disconnected','device:acme:pump-2','acme:pump-2','127.0.0.1','');
INSERT INTO "broker_events" VALUES(104,1795936703000,'refused',NULL,NULL,'127.0.0.1','not authorised');
INSERT INTO "broker_events" VALUES(105,1795936703000,'refused',NULL,NULL,'127.0.0.1','not authorised');
INSERT INTO "broker_events" VALUES(106,1795936703000,'connected','device:acme:pump-2','acme:pump-2','127.0.0.1','');
INSERT INTO "broker_events" VALUES(107,1795936704000,'connected','service:mooring','mooring-mark-b8ea9d0bd53120ab','127.0.0.1','');
INSERT INTO "broker_events" VALUES(108,1795936704000,'disconnected','service:mooring','mooring-mark-b8ea9d0bd53120ab','127.0.0.1','');
INSERT INTO "broker_events" VALUES(109,1795936705000,'disconnected','device:acme:pump-2','acme:pump-2','127.0.0.1','');
INSERT INTO "broker_events" VALUES(110,1795936717000,'connected','service:mooring','mooring-mark-71497ce44d4f7a9f','127.0.0.1','');
INSERT INTO "broker_events" VALUES(111,1795936717000,'disconnected','service:mooring','mooring-mark-71497ce44d4f7a9f','127.0.0.1','');
INSERT INTO "broker_events" VALUES(112,1795936741000,'connected','service:mooring','mooring-mark-b564a2f160b73038','127.0.0.1','');
INSERT INTO "broker_events" VALUES(113,1795936741000,'disconnected','service:mooring','mooring-mark-b564a2f160b73038','127.0.0.1','');
INSERT INTO "broker_events" VALUES(114,1795936755000,'connected','service:mooring','mooring-mark-41a470dedfddf603','127.0.0.1','');
INSERT INTO "broker_events" VALUES(115,1795936755000,'disconnected','service:mooring','mooring-mark-41a470dedfddf603','127.0.0.1','');
INSERT INTO "broker_events" VALUES(116,1795936758000,'connected','device:acme:pump-4','acme:pump-4','127.0.0.1','');
INSERT INTO "broker_events" VALUES(117,1795936758000,'disconnected','device:acme:pump-4','acme:pump-4','127.0.0.1','');
INSERT INTO "broker_events" VALUES(118,1795936758000,'connected','car-4','car-4','127.0.0.1','');
INSERT INTO "broker_events" VALUES(119,1795936758000,'disconnected','car-4','car-4','127.0.0.1','');
INSERT INTO "broker_events" VALUES(120,1795936768000,'connected','service:mooring','mooring-mark-b997a83b2e1f90d9','127.0.0.1','');
INSERT INTO "broker_events" VALUES(121,1795936768000,'disconnected','service:mooring','mooring-mark-b997a83b2e1f90d9','127.0.0.1','');
INSERT INTO "broker_events" VALUES(122,1795936784000,'connected','service:mooring','mooring-mark-2db544d34707759a','127.0.0.1','');
INSERT INTO "broker_events" VALUES(123,1795936784000,'disconnected','service:mooring','mooring-mark-2db544d34707759a','127.0.0.1','');
INSERT INTO "broker_events" VALUES(124,1795936805000,'connected','service:mooring','mooring-mark-6237ba68d7022ad2','127.0.0.1','');
INSERT INTO "broker_events" VALUES(125,1795936805000,'disconnected','service:mooring','mooring-mark-6237ba68d7022ad2','127.0.0.1','');
INSERT INTO "broker_events" VALUES(126,1795936816000,'connected','service:mooring','mooring-mark-39be02674abd48d5','127.0.0.1','');
INSERT INTO "broker_events" VALUES(127,1795936816000,'disconnected','service:mooring','mooring-mark-39be02674abd48d5','127.0.0.1','');
INSERT INTO "broker_events" VALUES(128,1795936827000,'connected','service:mooring','mooring-control-896de8edc010','127.0.0.1','');
INSERT INTO "broker_events" VALUES(129,1795936827000,'disconnected','service:mooring','mooring-control-896de8edc010','127.0.0.1','');
INSERT INTO "broker_events" VALUES(130,1795936848000,'connected','bridge','bridge','127.0.0.1','');
INSERT INTO "broker_events" VALUES(131,1795936848000,'disconnected','bridge','bridge','127.0.0.1','');
CREATE TABLE broker_requests (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	action VARCHAR(16) NOT NULL, 
	argument TEXT DEFAULT '{}' NOT NULL, 
	actor VARCHAR(200) NOT NULL, 
	created_at BIGINT NOT NULL, 
	state VARCHAR(16) DEFAULT 'waiting' NOT NULL, 
	result TEXT DEFAULT '{}' NOT NULL
);
CREATE TABLE broker_users (
	username VARCHAR(300) NOT NULL, 
	verifier VARCHAR(200), 
	publish TEXT DEFAULT '[]' NOT NULL, 
	subscribe TEXT DEFAULT '[]' NOT NULL, 
	note VARCHAR(200) DEFAULT '' NOT NULL, 
	created_at BIGINT NOT NULL, 
	CONSTRAINT pk_broker_users PRIMARY KEY (username)
);
INSERT INTO "broker_users" VALUES('bridge','$7$101$9rot/Rj+bjEod0xx$2jBM/DAlmvJzYKT9GZNpLAAuHM/QLs9SpbYsBJT4i9h+R1cM7hCIqFzirA1sVwmQ518QHGWwaBsasCPL3AK1sg==','["pulse/#"]','[]','',1795936846683);
CREATE TABLE certificates (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	serial VARCHAR(40) NOT NULL, 
	username VARCHAR(300) NOT NULL, 
	device_id INTEGER, 
	fingerprint VARCHAR(64) NOT NULL, 
	authority VARCHAR(64) NOT NULL, 
	key_type VARCHAR(32) NOT NULL, 
	not_before BIGINT NOT NULL, 
	not_after BIGINT NOT NULL, 
	issued_at BIGINT NOT NULL, 
	pem TEXT NOT NULL, 
	own_key BOOLEAN NOT NULL, 
	revoked_at BIGINT, 
	reason VARCHAR(32), 
	enforced_at BIGINT, 
	CONSTRAINT uq_certificates_serial UNIQUE (serial)
);
INSERT INTO "certificates" VALUES(1,'c9d9300abfbfb95c0c723e5faf5151286581f33','car-2',14,'94652e3eef62145640297cfd493ff57ce23b7b6e3b1fb74ca938fbb32ca8910f','a2d7c0ebc73de70a44c2bf3197cdb30df8828fc0dd5dbbecabb174c1bce7536e','ec-p256',1795933211000,2111296583000,1795936811738,'-----BEGIN CERTIFICATE-----
MIIBrTCCAVSgAwIBAgIUDJ2TAKv7+5XAxyPl+vUVEoZYHzMwCgYIKoZIzj0EAwIw
JzElMCMGA1UEAwwcTW9vcmluZyBDQSAyMDI2LTExLTI5IGU5NjM4NzAeFw0yNjEx
MjkwNjIwMTFaFw0zNjExMjYwNzE2MjNaMBAxDjAMBgNVBAMMBWNhci0yMFkwEwYH
KoZIzj0CAQYIKoZIzj0DAQcDQgAETBKifmMHL4yjEQbZCP1Zkgg52yQ9cFDNMR8i
ka6eztxYBAlXHXJyiJbBgoMAMJigIxyfimhfKFSwsCJZRNQl+qN1MHMwDAYDVR0T
AQH/BAIwADAOBgNVHQ8BAf8EBAMCB4AwHQYDVR0OBBYEFLnV4CREAg/0cV7lzsAY
CrIuA6nYMB8GA1UdIwQYMBaAFELAIoAtmLTDqd5xZBrHAm3y6p/aMBMGA1UdJQQM
MAoGCCsGAQUFBwMCMAoGCCqGSM49BAMCA0cAMEQCIGisHBi+RjnqwgtQpuJVZw5q
pQAcK3ZTTo5kuEw7ggSTAiBWV3oz1a58ZQt7hRQE/CV2a7C6JxYNqYKmWltYB0AM
Ww==
-----END CERTIFICATE-----
',0,NULL,NULL,NULL);
INSERT INTO "certificates" VALUES(2,'56aaf65696425db2911b78e9da55bac880eb3a59','car-3',15,'efbe92a8b04dc8e8cbb2c332c4496fe771c14d297ece93d5130ef91dfbb2e698','a2d7c0ebc73de70a44c2bf3197cdb30df8828fc0dd5dbbecabb174c1bce7536e','ec-p256',1795933221000,2111296583000,1795936821063,'-----BEGIN CERTIFICATE-----
MIIBrzCCAVSgAwIBAgIUVqr2VpZCXbKRG3jp2lW6yIDrOlkwCgYIKoZIzj0EAwIw
JzElMCMGA1UEAwwcTW9vcmluZyBDQSAyMDI2LTExLTI5IGU5NjM4NzAeFw0yNjEx
MjkwNjIwMjFaFw0zNjExMjYwNzE2MjNaMBAxDjAMBgNVBAMMBWNhci0zMFkwEwYH
KoZIzj0CAQYIKoZIzj0DAQcDQgAEEMS7LgQ86cJkTwhmsztvcFJ2Wj2BRNQWK6mM
MGvN7biInILOTar3rmBmI/Nn0R0s2LaErIXBHEczCxHU+cEGvaN1MHMwDAYDVR0T
AQH/BAIwADAOBgNVHQ8BAf8EBAMCB4AwHQYDVR0OBBYEFME3IWWhqyPJjFpDeh51
ILtIkrX/MB8GA1UdIwQYMBaAFELAIoAtmLTDqd5xZBrHAm3y6p/aMBMGA1UdJQQM
MAoGCCsGAQUFBwMCMAoGCCqGSM49BAMCA0kAMEYCIQCIDZdahjIm+vrOWt6j84NF
pHkTCKNdW47p40eFwMo+nQIhAI0Qv22IWANxISXbfpSuxfyxcS2YoB66uyqq8DIL
07ZZ
-----END CERTIFICATE-----
',0,1795936826701,'keyCompromise',1795936827304);
CREATE TABLE channels (
	id INTEGER NOT NULL, 
	dialect VARCHAR(64) NOT NULL, 
	name VARCHAR(128) NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	CONSTRAINT pk_channels PRIMARY KEY (id), 
	CONSTRAINT uq_channels_dialect_name UNIQUE (dialect, name)
);
INSERT INTO "channels" VALUES(1,'drivesafe','telemetry','telemetry');
INSERT INTO "channels" VALUES(2,'drivesafe','command','command');
INSERT INTO "channels" VALUES(3,'iotflow','telemetry','telemetry');
INSERT INTO "channels" VALUES(4,'iotflow','metrics','metrics');
INSERT INTO "channels" VALUES(5,'iotflow','event','event');
INSERT INTO "channels" VALUES(6,'iotflow','command','command');
INSERT INTO "channels" VALUES(7,'iotflow','commands_config','command');
INSERT INTO "channels" VALUES(8,'iotflow','firmware','firmware');
INSERT INTO "channels" VALUES(9,'iotflow','heartbeat','heartbeat');
INSERT INTO "channels" VALUES(10,'iotflow','online','online');
INSERT INTO "channels" VALUES(11,'iotflow','offline','offline');
INSERT INTO "channels" VALUES(12,'iotflow','config','config');
INSERT INTO "channels" VALUES(13,'iotflow','fleet_command','fleet_command');
INSERT INTO "channels" VALUES(14,'iotflow','fleet_status','fleet_status');
INSERT INTO "channels" VALUES(15,'iotflow','register','register');
INSERT INTO "channels" VALUES(16,'iotflow','register_response','register_response');
INSERT INTO "channels" VALUES(17,'iotflow','system_health','system');
INSERT INTO "channels" VALUES(18,'iotflow','system_metrics','system');
INSERT INTO "channels" VALUES(19,'iotflow','system_alerts','system');
INSERT INTO "channels" VALUES(20,'iotflow','monitoring_broker','monitoring');
INSERT INTO "channels" VALUES(21,'iotflow','monitoring_clients','monitoring');
INSERT INTO "channels" VALUES(22,'iotflow','monitoring_traffic','monitoring');
INSERT INTO "channels" VALUES(23,'mooring','telemetry','telemetry');
INSERT INTO "channels" VALUES(24,'mooring','event','event');
INSERT INTO "channels" VALUES(25,'mooring','status','status');
INSERT INTO "channels" VALUES(26,'mooring','heartbeat','heartbeat');
INSERT INTO "channels" VALUES(27,'mooring','alert','alert');
INSERT INTO "channels" VALUES(28,'mooring','alert_cleared','alert_cleared');
INSERT INTO "channels" VALUES(29,'mooring','command','command');
INSERT INTO "channels" VALUES(30,'mooring','reply','reply');
INSERT INTO "channels" VALUES(31,'mooring','config','config');
INSERT INTO "channels" VALUES(32,'mooring','config_reported','config_reported');
INSERT INTO "channels" VALUES(33,'mooring','firmware','firmware');
INSERT INTO "channels" VALUES(34,'mooring','firmware_progress','firmware_progress');
INSERT INTO "channels" VALUES(35,'mooring','receipt','receipt');
INSERT INTO "channels" VALUES(36,'mooring','rerequest','rerequest');
INSERT INTO "channels" VALUES(37,'mousetrap','status','status');
INSERT INTO "channels" VALUES(38,'mousetrap','firmware_progress','firmware_progress');
INSERT INTO "channels" VALUES(39,'mousetrap','alert','alert');
INSERT INTO "channels" VALUES(40,'mousetrap','alert_cleared','alert_cleared');
INSERT INTO "channels" VALUES(41,'mousetrap','command','command');
INSERT INTO "channels" VALUES(42,'mousetrap','firmware','firmware');
INSERT INTO "channels" VALUES(43,'mousetrap','global_firmware','firmware');
INSERT INTO "channels" VALUES(44,'mousetrap','filesystem','filesystem');
INSERT INTO "channels" VALUES(45,'pulse','telemetry','telemetry');
INSERT INTO "channels" VALUES(46,'pulse','status','status');
INSERT INTO "channels" VALUES(47,'pulse','heartbeat','heartbeat');
INSERT INTO "channels" VALUES(48,'pulse','alert','alert');
INSERT INTO "channels" VALUES(49,'pulse','alert_cleared','alert_cleared');
INSERT INTO "channels" VALUES(50,'pulse','command','command');
INSERT INTO "channels" VALUES(51,'pulse','reply','reply');
INSERT INTO "channels" VALUES(52,'pulse','config','config');
INSERT INTO "channels" VALUES(53,'pulse','config_reported','config_reported');
INSERT INTO "channels" VALUES(54,'pulse','firmware','firmware');
INSERT INTO "channels" VALUES(55,'pulse','firmware_progress','firmware_progress');
INSERT INTO "channels" VALUES(56,'smarthome','telemetry','telemetry');
INSERT INTO "channels" VALUES(57,'smarthome','status','status');
INSERT INTO "channels" VALUES(58,'smarthome','heartbeat','heartbeat');
INSERT INTO "channels" VALUES(59,'smarthome','command','command');
INSERT INTO "channels" VALUES(60,'smarthome','config','config');
CREATE TABLE claim_codes (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	digest VARCHAR(64) NOT NULL, 
	tenant VARCHAR(128) NOT NULL, 
	dialect VARCHAR(64) NOT NULL, 
	label VARCHAR(200) DEFAULT '' NOT NULL, 
	name VARCHAR(128), 
	groups TEXT DEFAULT '[]' NOT NULL, 
	created_at BIGINT NOT NULL, 
	created_by VARCHAR(200) NOT NULL, 
	expires_at BIGINT NOT NULL, 
	revoked_at BIGINT, 
	claimed_at BIGINT, 
	hardware_id VARCHAR(128), 
	device_id INTEGER, 
	CONSTRAINT fk_claim_codes_tenant FOREIGN KEY(tenant) REFERENCES tenants (name), 
	CONSTRAINT uq_claim_codes_digest UNIQUE (digest)
);
INSERT INTO "claim_codes" VALUES(1,'64f1af8b17a9eb4e4f8f45e20259a3e999664a3d7ae6e38bca7b80867b7be0ab','acme','mousetrap','Attic',NULL,'[]',1795936673740,'cli:root',1796541473740,NULL,1795936675895,'aabbcc000002',7);
INSERT INTO "claim_codes" VALUES(2,'19cbbc12f3418efa9bc99c81a641a9a85c0a7537abde5cfa5a1d0d4db899f97e','acme','pulse','',NULL,'[]',1795936681366,'cli:root',2106976681366,NULL,NULL,NULL,NULL);
CREATE TABLE counters (
	name VARCHAR(64) NOT NULL, 
	value BIGINT NOT NULL, 
	CONSTRAINT pk_counters PRIMARY KEY (name)
);
INSERT INTO "counters" VALUES('messages_stored',37);
INSERT INTO "counters" VALUES('batches',39);
INSERT INTO "counters" VALUES('dead_letters',2);
INSERT INTO "counters" VALUES('rollup_messages',9);
CREATE TABLE credentials (
	device_id INTEGER NOT NULL, 
	verifier VARCHAR(200), 
	created_at BIGINT NOT NULL, 
	proved_at BIGINT, 
	sealed_secret BLOB, 
	since_event BIGINT DEFAULT '0' NOT NULL, 
	mark VARCHAR(32), 
	mark_event BIGINT, 
	CONSTRAINT pk_credentials PRIMARY KEY (device_id), 
	CONSTRAINT fk_credentials_device_id FOREIGN KEY(device_id) REFERENCES devices (id) ON DELETE CASCADE
);
INSERT INTO "credentials" VALUES(1,'$7$101$Sxh4638Q8u4mnP+l$XodHu+hWXryhGSlc/QP8xHHZZYLmD42gZCuKk8hys72mnRNKUDGAVi/HdikyXi2xOum+brRvK4YqY64270Ve9w==',1795936603390,1795936649261,NULL,7,'a4719bb4b85f49e4',9);
INSERT INTO "credentials" VALUES(2,'$7$101$fjmi1SmlGDfLrfe4$3O3YgP1leDTAvnB/9bNHl4V7GuOJh0dOqTT12vRDhwJxBsbXeEQ26apML2YVT36CWm+Fy/BVWJ91lEBYAOIUgw==',1795936613169,1795936652408,NULL,10,'d043ec24e640204e',11);
INSERT INTO "credentials" VALUES(3,'$7$101$wWen+AH/UsAy7gIc$xSBca6+bIaCluHtGpqDy3igYZjNPajKfCoaZbN3sM3L7FaO5WKt2KifHLKFVL/ccXXdLgH2HrX1sui6BE0PDiA==',1795936623601,1795936655516,NULL,12,'72f079c814d5807a',13);
INSERT INTO "credentials" VALUES(4,'$7$101$ziYjeIJCUsMzQgCe$7z8688HbZjdc80/OzJ04AA6DWl+SOSBiCmvKX/S0vRtdanvAWCmwGjYiylZ1LbiWQURxxJdu9Vsx214BN8Xv8Q==',1795936631783,1795936658962,NULL,14,'53c62cae39419349',15);
INSERT INTO "credentials" VALUES(5,'$7$101$yaxdAYkN/3+bw+qI$gD8LEewT+5VyfXRzzqs9cc8Rhn7hiWbRvylByH4BPp56TIqB2KOjI8IkZCXoI+1gcD4OlQQMoxgep3t76VB46g==',1795936638559,1795936662905,NULL,16,'189213742467bb53',17);
INSERT INTO "credentials" VALUES(6,'$7$101$tUxfOaUnJUDGPOQy$WnDgYu5UksJwo7WlR0ALXectmp+/ubk/d9wVLFmvDuj0y6unnXAaz6WpKA4DdqhTnh4ni5WA4RbzzlithV4E7w==',1795936644334,1795936666492,NULL,18,'052bb415b5595be4',19);
INSERT INTO "credentials" VALUES(7,'$7$101$/mHvCkCDrgfFIgH0$Xwnq8nK0PH/Jk77fI5FexexkwdP5D4JZ3xJb+zlOplTO9TWqrt7uLIkpMJ4wtIrf1+ynQxRYMYctkmUo7fU45g==',1795936675854,1795936676310,NULL,92,'a5351c17a4227371',93);
INSERT INTO "credentials" VALUES(8,'$7$101$7oSo7tPE8H9318dg$zalHuTHl+2qnD5I3Me3IOyDCmt7Ta5g+wMOUfiYaLyXqnBxTyvhcmh3bR/Yb1quTfSEFs0C1xjDWwTo78jj0Iw==',1795936703371,1795936704317,NULL,104,'b8ea9d0bd53120ab',107);
INSERT INTO "credentials" VALUES(9,'$7$101$Bb8INFWrTJBV14Gv$dpcacVyApYSMMXri8Jxktu/EFrHdN4Bd5XG/8HnMTq9Aijy9pBmLQMxJVZiLSlokdSG3zZ6+vR/DNChBaHn5Hw==',1795936716778,NULL,NULL,109,'71497ce44d4f7a9f',110);
INSERT INTO "credentials" VALUES(10,'$7$101$7wPHlxX7/YhKqy/O$LXKy+QN4KxK5eBSKYZzvcy3YPm1l13K3/b2FVjEuKo2o4gjjDtU7zT9pCViBISdCYRQ+yLsVBmF35m2MyqBM9Q==',1795936740756,1795936759305,NULL,111,'b564a2f160b73038',112);
INSERT INTO "credentials" VALUES(11,'$7$101$OVp06hRyCAyPGgoi$EK2II3RoYVIGSnR4cMjWHUmkXK2nI0kgcbtkmluSM1aWpZzqTMH1rYHHB9qx/7cWc28+T3pTRuOKaJyEoTLGvA==',1795936755254,1795936759305,NULL,113,'41a470dedfddf603',114);
INSERT INTO "credentials" VALUES(12,'$7$101$gRzbSsKPiQ0/Up2v$Zf0w/Xx+G/Djl+a4AUgzqkHn0YJyWq92LmeVMl2DGHVqF6syyQLHSREcvwe87ze849M5HQdoCWk7L1G9rgl7RQ==',1795936767578,NULL,NULL,119,'b997a83b2e1f90d9',120);
INSERT INTO "credentials" VALUES(14,'$7$101$oyvWD9bfsvlKw+WO$nBwnc0RYpXBApbzVwqmcW1x9I24EPg12c7EODonug2GqdtOdqbibemsww1XWBRtnhKZezyFQSmQBQMTgwgvmig==',1795936804853,NULL,NULL,123,'6237ba68d7022ad2',124);
INSERT INTO "credentials" VALUES(15,'$7$101$bwGqyb4VSh1UvJv0$cXpLcmvZnve6zqzTn6DUGUF5VG1ol4+skhExQvtU1rydKvNAGs3O9MgNI+aN6cHFHwTcA0b4YKIaATXYgIOnig==',1795936816068,NULL,NULL,125,'39be02674abd48d5',126);
INSERT INTO "credentials" VALUES(16,'$7$101$2Txp5AQEGEt1niLd$vHMQbWIQRIlwsM8M28ZPIdz6h9QF2Z52/rOycic8JYe3HG0m8KdPFx2jpSxRWxlirQifX+nn2ZMIZ9Jnta/i3w==',1795936943173,NULL,NULL,131,NULL,NULL);
CREATE TABLE dead_letters (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	received_at BIGINT NOT NULL, 
	reason VARCHAR(32) NOT NULL, 
	detail TEXT NOT NULL, 
	topic TEXT NOT NULL, 
	tenant VARCHAR(128), 
	device_id INTEGER, 
	size BIGINT NOT NULL, 
	payload BLOB NOT NULL
);
INSERT INTO "dead_letters" VALUES(1,1795936666594,'not_json','JSON is malformed: invalid character (byte 4).','mooring/acme/sensor-1/telemetry','acme',6,7,X'6E6F204A534F4E');
INSERT INTO "dead_letters" VALUES(2,1795936848996,'unknown_device','There is no device ghost of the dialect pulse in the tenant acme.','pulse/acme/ghost/telemetry','acme',NULL,18,X'7B2274656D7065726174757265223A20317D');
CREATE TABLE device_groups (
	device_id INTEGER NOT NULL, 
	group_name VARCHAR(128) NOT NULL, 
	CONSTRAINT pk_device_groups PRIMARY KEY (device_id, group_name), 
	CONSTRAINT fk_device_groups_device_id FOREIGN KEY(device_id) REFERENCES devices (id) ON DELETE CASCADE
);
INSERT INTO "device_groups" VALUES(3,'cellar');
CREATE TABLE device_metrics (
	device_id BIGINT NOT NULL, 
	metric_id INTEGER NOT NULL, 
	CONSTRAINT pk_device_metrics PRIMARY KEY (device_id, metric_id)
)
 WITHOUT ROWID

;
INSERT INTO "device_metrics" VALUES(2,3);
INSERT INTO "device_metrics" VALUES(2,4);
INSERT INTO "device_metrics" VALUES(2,12);
INSERT INTO "device_metrics" VALUES(2,16);
INSERT INTO "device_metrics" VALUES(3,13);
INSERT INTO "device_metrics" VALUES(3,14);
INSERT INTO "device_metrics" VALUES(4,1);
INSERT INTO "device_metrics" VALUES(4,6);
INSERT INTO "device_metrics" VALUES(4,8);
INSERT INTO "device_metrics" VALUES(4,10);
INSERT INTO "device_metrics" VALUES(4,11);
INSERT INTO "device_metrics" VALUES(4,13);
INSERT INTO "device_metrics" VALUES(5,5);
INSERT INTO "device_metrics" VALUES(5,7);
INSERT INTO "device_metrics" VALUES(5,8);
INSERT INTO "device_metrics" VALUES(5,9);
INSERT INTO "device_metrics" VALUES(5,13);
INSERT INTO "device_metrics" VALUES(5,15);
INSERT INTO "device_metrics" VALUES(6,2);
INSERT INTO "device_metrics" VALUES(6,13);
CREATE TABLE device_state (
	device_id INTEGER NOT NULL, 
	last_seen_at BIGINT, 
	online BOOLEAN, 
	online_at BIGINT, 
	firmware VARCHAR(128), 
	metadata TEXT, 
	metadata_at BIGINT, 
	connected BOOLEAN, 
	connected_at BIGINT, 
	address VARCHAR(64), 
	CONSTRAINT pk_device_state PRIMARY KEY (device_id)
);
INSERT INTO "device_state" VALUES(1,1795936648990,1,1795936648936,'1.4.0','{"rssi":-61,"uptime":3600}',1795936648936,0,1795936648000,'127.0.0.1');
INSERT INTO "device_state" VALUES(2,1795936651871,NULL,NULL,NULL,NULL,NULL,0,1795936651000,'127.0.0.1');
INSERT INTO "device_state" VALUES(3,1795936655289,1,1795936655066,'1.4.0','{"uptime":3600}',1795936655104,0,1795936655000,'127.0.0.1');
INSERT INTO "device_state" VALUES(4,1795936658451,0,1795936658403,'1.4.0','{"uptime":7200,"battery_level":88,"signal_strength":-52,"status":"offline","device_type":"boiler"}',1795936658451,0,1795936658000,'127.0.0.1');
INSERT INTO "device_state" VALUES(5,1795936662525,1,1795936662446,'v2.0.3','{"signalStrength":-58,"batteryLevel":100,"uptime":3660,"freeMemory":60800,"wifiSignal":-59}',1795936662525,0,1795936662000,'127.0.0.1');
INSERT INTO "device_state" VALUES(6,1795936666594,1,1795936666244,'1.4.0','{"signal":-60,"uptime":3600}',1795936666254,0,1795936666000,'127.0.0.1');
INSERT INTO "device_state" VALUES(7,1795936676063,NULL,NULL,NULL,NULL,NULL,0,1795936676000,'127.0.0.1');
INSERT INTO "device_state" VALUES(8,1795936703134,NULL,NULL,NULL,NULL,NULL,0,1795936705000,'127.0.0.1');
INSERT INTO "device_state" VALUES(10,NULL,NULL,NULL,NULL,NULL,NULL,0,1795936758000,'127.0.0.1');
INSERT INTO "device_state" VALUES(11,NULL,NULL,NULL,NULL,NULL,NULL,0,1795936758000,'127.0.0.1');
CREATE TABLE devices (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	tenant VARCHAR(128) NOT NULL, 
	name VARCHAR(128) NOT NULL, 
	scope VARCHAR(260) NOT NULL, 
	label VARCHAR(200) DEFAULT '' NOT NULL, 
	dialect VARCHAR(64) NOT NULL, 
	mac VARCHAR(64), 
	mac_key VARCHAR(12), 
	username VARCHAR(300) NOT NULL, 
	client_id VARCHAR(300) NOT NULL, 
	enabled BOOLEAN DEFAULT (true) NOT NULL, 
	created_at BIGINT NOT NULL, 
	CONSTRAINT fk_devices_tenant FOREIGN KEY(tenant) REFERENCES tenants (name), 
	CONSTRAINT uq_devices_mac_key_dialect_tenant UNIQUE (mac_key, dialect, tenant), 
	CONSTRAINT uq_devices_scope_name UNIQUE (scope, name), 
	CONSTRAINT uq_devices_tenant_name UNIQUE (tenant, name), 
	CONSTRAINT uq_devices_username UNIQUE (username)
);
INSERT INTO "devices" VALUES(1,'acme','trap-1','mousetrap/acme','','mousetrap','AA:BB:CC:00:00:01','aabbcc000001','AA:BB:CC:00:00:01','trap-1',1,1795936603390);
INSERT INTO "devices" VALUES(2,'acme','car-1','drivesafe','','drivesafe',NULL,NULL,'car-1','car-1',1,1795936613169);
INSERT INTO "devices" VALUES(3,'acme','pump-1','pulse/acme','Pump in the cellar','pulse',NULL,NULL,'device:acme:pump-1','acme:pump-1',1,1795936623601);
INSERT INTO "devices" VALUES(4,'acme','boiler-1','iotflow','','iotflow',NULL,NULL,'boiler-1','boiler-1',0,1795936631783);
INSERT INTO "devices" VALUES(5,'acme','plug-1','smarthome/acme','','smarthome',NULL,NULL,'plug-1','plug-1',1,1795936638559);
INSERT INTO "devices" VALUES(6,'acme','sensor-1','mooring/acme','','mooring',NULL,NULL,'acme/sensor-1','acme:sensor-1',1,1795936644334);
INSERT INTO "devices" VALUES(7,'acme','aabbcc000002','mousetrap/acme','Attic','mousetrap','AA:BB:CC:00:00:02','aabbcc000002','AA:BB:CC:00:00:02','aabbcc000002',1,1795936675854);
INSERT INTO "devices" VALUES(8,'acme','pump-2','pulse/acme','','pulse',NULL,NULL,'device:acme:pump-2','acme:pump-2',1,1795936688206);
INSERT INTO "devices" VALUES(9,'acme','pump-3','pulse/acme','','pulse',NULL,NULL,'device:acme:pump-3','acme:pump-3',1,1795936716778);
INSERT INTO "devices" VALUES(10,'acme','pump-4','pulse/acme','','pulse',NULL,NULL,'device:acme:pump-4','acme:pump-4',1,1795936740756);
INSERT INTO "devices" VALUES(11,'acme','car-4','drivesafe','','drivesafe',NULL,NULL,'car-4','car-4',1,1795936755254);
INSERT INTO "devices" VALUES(12,'acme','pump-5','pulse/acme','','pulse',NULL,NULL,'device:acme:pump-5','acme:pump-5',0,1795936767578);
INSERT INTO "devices" VALUES(14,'acme','car-2','drivesafe','','drivesafe',NULL,NULL,'car-2','car-2',1,1795936804853);
INSERT INTO "devices" VALUES(15,'acme','car-3','drivesafe','','drivesafe',NULL,NULL,'car-3','car-3',1,1795936816068);
INSERT INTO "devices" VALUES(16,'acme','late-1','pulse/acme','','pulse',NULL,NULL,'device:acme:late-1','acme:late-1',1,1795936943173);
CREATE TABLE former_verifiers (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	device_id INTEGER NOT NULL, 
	username VARCHAR(300) NOT NULL, 
	tenant VARCHAR(128) NOT NULL, 
	verifier VARCHAR(200) NOT NULL, 
	removed BOOLEAN DEFAULT (false) NOT NULL, 
	until BIGINT NOT NULL
);
INSERT INTO "former_verifiers" VALUES(1,8,'device:acme:pump-2','acme','$7$101$i1l+dE457urS8btd$ktURvL4MHLr7/7U3t+ujm9QraM9It1CRXj8jdQpUgMdmB1dwml8ZB6uO/kNewHPzZSWr92S8U2FlKzqBTKRg8A==',0,1798528704402);
INSERT INTO "former_verifiers" VALUES(2,13,'device:acme:pump-6','acme','$7$101$sxctn0C8whoDyKei$nCjUy0Oey6X8Q3B6i8Az8F5r7GKT5M9+kpVXi1o5/Jkc18xDEH5sn9QRgx54Pkr7AToYN8Bee3qchWQQPmyf6g==',1,1798528793000);
CREATE TABLE ingest_ledger (
	client_id VARCHAR(128) NOT NULL, 
	batch BIGINT NOT NULL, 
	packets BLOB NOT NULL, 
	CONSTRAINT pk_ingest_ledger PRIMARY KEY (client_id, batch)
);
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',1,X'0100E268B0F7');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',2,X'02006FDE991A');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',3,X'030036E42178');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',4,X'0400EDC8A48C');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',5,X'050083676001');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',6,X'0600FC70BAB6');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',7,X'070084F218A5');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',8,X'0800368FDF02');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',9,X'09000A72FA35');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',10,X'0A00E17023B6');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',11,X'0B003E3AB697');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',12,X'0C00EC5D5671');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',13,X'0D006FDE991A');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',14,X'0E0027636019');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',15,X'0F0096CCE1F9');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',16,X'100051A23337');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',17,X'110044806829');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',18,X'120061DF9D5D');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',19,X'1300B1C639F9');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',20,X'14001E9416E2');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',21,X'15006CB9CACD');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',22,X'1600C99A8E1E');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',23,X'1700BAB7E928');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',24,X'18004D2882F8');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',25,X'1900B707FA86');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',26,X'1A008E4F7FC1');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',27,X'1B00A205FCDF');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',28,X'1C003301F609');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',29,X'1D0020BDB363');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',30,X'1E00CE16DF2B');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',31,X'1F00E8D41210');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',32,X'20007779143A');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',33,X'2100080E6B94');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',34,X'220073624A07');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',35,X'23004A334873');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',36,X'2400A06D5002');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',37,X'250043BFA6A3');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',38,X'260085DD063A');
INSERT INTO "ingest_ledger" VALUES('mooring-ingest',39,X'270086E89EE4');
CREATE TABLE latest (
	device_id INTEGER NOT NULL, 
	channel_id INTEGER NOT NULL, 
	ts BIGINT NOT NULL, 
	received_at BIGINT NOT NULL, 
	time_source SMALLINT NOT NULL, 
	payload TEXT NOT NULL, 
	CONSTRAINT pk_latest PRIMARY KEY (device_id, channel_id)
)
 WITHOUT ROWID

;
INSERT INTO "latest" VALUES(1,37,1767225600000,1795936648936,0,'{"online":true,"firmwareVersion":"1.4.0","rssi":-61,"uptime":3600,"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "latest" VALUES(1,38,1767225600000,1795936648954,0,'{"id":"r7-12","version":"1.5.0","state":"downloading","percent":40,"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "latest" VALUES(1,39,1767225600000,1795936648972,0,'{"type":"trap_triggered","severity":"critical","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "latest" VALUES(1,40,1767225600000,1795936648990,0,'{"type":"trap_triggered","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "latest" VALUES(2,1,1767225600000,1795936651871,0,'{"device_id":"car-12","timestamp":"2026-01-01T00:00:00Z","seq":41,"drowsiness_score":0.12,"eyes_closed_ms":180,"yawns":1,"speed_kmh":62.5}');
INSERT INTO "latest" VALUES(3,45,1767225600000,1795936655039,0,'{"device_id":"pump-3","timestamp":"2026-01-01T00:00:00Z","seq":41,"temperature":41.5,"vibration_mm_s":1.8}');
INSERT INTO "latest" VALUES(3,46,1767225600000,1795936655066,0,'{"status":"online","firmware_version":"1.4.0","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "latest" VALUES(3,47,1767225600000,1795936655104,0,'{"uptime":3600,"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "latest" VALUES(3,48,1767225600000,1795936655122,0,'{"alert":"bearing_hot","severity":"critical","temperature":92.0,"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "latest" VALUES(3,49,1767225600000,1795936655166,0,'{"alert":"bearing_hot","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "latest" VALUES(3,51,1767225600000,1795936655201,0,'{"command_id":"c-1001","status":"done","result":{"took_ms":120},"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "latest" VALUES(3,53,1767225600000,1795936655246,0,'{"version":3,"config":{"interval_seconds":60},"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "latest" VALUES(3,55,1767225600000,1795936655289,0,'{"id":"r7-12","version":"1.5.0","state":"downloading","percent":40,"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "latest" VALUES(4,3,1767225600000,1795936658265,0,'{"temperature":19.5,"humidity":51.0,"pressure":1009.1,"timestamp":"2026-01-01T00:00:00Z","device_id":"boiler-2"}');
INSERT INTO "latest" VALUES(4,4,1767225600000,1795936658279,0,'{"cpu_percent":12.5,"free_memory":40312,"queued":0,"timestamp":"2026-01-01T00:00:00Z","device_id":"boiler-2"}');
INSERT INTO "latest" VALUES(4,5,1767225600000,1795936658313,0,'{"event":"valve_stuck","severity":"warning","position":40,"timestamp":"2026-01-01T00:00:00Z","device_id":"boiler-2"}');
INSERT INTO "latest" VALUES(4,9,1767225600000,1795936658344,0,'{"status":"online","uptime":7200,"battery_level":88,"signal_strength":-52,"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "latest" VALUES(4,10,1767225600000,1795936658369,0,'{"status":"online","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "latest" VALUES(4,11,1767225600000,1795936658403,0,'{"status":"offline","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "latest" VALUES(4,15,1767225600000,1795936658451,0,'{"device_id":"boiler-2","device_type":"boiler","firmware_version":"1.4.0","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "latest" VALUES(5,56,1767225600000,1795936662312,0,'{"timestamp":"2026-01-01T00:00:00.000Z","deviceId":"plug-7","sensors":{"powerW":38.2,"voltageV":229.8,"temperature":21.4,"humidity":48.0,"gasPpm":120,"flame":false},"metadata":{"firmwareVersion":"v2.0.3","signalStrength":-58,"batteryLevel":100}}');
INSERT INTO "latest" VALUES(5,57,1767225600000,1795936662446,0,'{"timestamp":"2026-01-01T00:00:00.000Z","deviceId":"plug-7","online":true,"status":{"uptime":3600,"freeMemory":61000,"wifiSignal":-58,"batteryLevel":100,"firmwareVersion":"v2.0.3"},"errors":[]}');
INSERT INTO "latest" VALUES(5,58,1767225600000,1795936662525,0,'{"timestamp":"2026-01-01T00:00:00.000Z","deviceId":"plug-7","uptime":3660,"freeMemory":60800,"wifiSignal":-59}');
INSERT INTO "latest" VALUES(6,23,1795936666572,1795936666581,0,'{"ts": 1795936666572, "seq": 104, "values": {"temperature": 104}}');
INSERT INTO "latest" VALUES(6,24,1767225600000,1795936666227,0,'{"ts":1767225600000,"seq":42,"event":"door_opened","values":{"count":3}}');
INSERT INTO "latest" VALUES(6,25,1767225600000,1795936666244,0,'{"ts":1767225600000,"online":true,"meta":{"firmware":"1.4.0","uptime":12,"signal":-61}}');
INSERT INTO "latest" VALUES(6,26,1767225600000,1795936666254,0,'{"ts":1767225600000,"meta":{"uptime":3600,"signal":-60}}');
INSERT INTO "latest" VALUES(6,27,1767225600000,1795936666280,0,'{"ts":1767225600000,"seq":43,"alert":"battery_low","severity":"warning","message":"Battery at 9 %.","values":{"battery":9}}');
INSERT INTO "latest" VALUES(6,28,1767225600000,1795936666313,0,'{"ts":1767225600000,"seq":44,"alert":"battery_low"}');
INSERT INTO "latest" VALUES(6,30,1767225600000,1795936666362,0,'{"ts":1767225600000,"seq":45,"id":"0f8c2d","ok":true,"result":{"took_ms":120}}');
INSERT INTO "latest" VALUES(6,32,1767225600000,1795936666422,0,'{"ts":1767225600000,"seq":46,"version":3,"config":{"interval_s":30}}');
INSERT INTO "latest" VALUES(6,34,1767225600000,1795936666499,0,'{"ts":1767225600000,"seq":47,"id":"r7-12","version":"1.5.0","state":"downloading","percent":40}');
INSERT INTO "latest" VALUES(7,37,1795936676063,1795936676063,1,'{}');
INSERT INTO "latest" VALUES(8,51,1795936703134,1795936703134,1,'{"command_id": "dc39cc991a0e7bf8", "status": "done"}');
CREATE TABLE leases (
	name VARCHAR(64) NOT NULL, 
	holder VARCHAR(128) NOT NULL, 
	until BIGINT NOT NULL, 
	CONSTRAINT pk_leases PRIMARY KEY (name)
);
CREATE TABLE messages (
	id INTEGER NOT NULL, 
	device_id INTEGER NOT NULL, 
	channel_id INTEGER NOT NULL, 
	ts BIGINT NOT NULL, 
	received_at BIGINT NOT NULL, 
	seq BIGINT, 
	time_source SMALLINT NOT NULL, 
	fingerprint BIGINT NOT NULL, 
	payload TEXT NOT NULL, 
	CONSTRAINT pk_messages PRIMARY KEY (id)
);
INSERT INTO "messages" VALUES(1,1,37,1767225600000,1795936648936,NULL,0,1307016827120712921,'{"online":true,"firmwareVersion":"1.4.0","rssi":-61,"uptime":3600,"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "messages" VALUES(2,1,38,1767225600000,1795936648954,NULL,0,5352049499193729538,'{"id":"r7-12","version":"1.5.0","state":"downloading","percent":40,"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "messages" VALUES(3,1,39,1767225600000,1795936648972,NULL,0,3302951505033593760,'{"type":"trap_triggered","severity":"critical","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "messages" VALUES(4,1,40,1767225600000,1795936648990,NULL,0,3211882188366780698,'{"type":"trap_triggered","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "messages" VALUES(5,2,1,1767225600000,1795936651871,41,0,2519069118296672048,'{"device_id":"car-12","timestamp":"2026-01-01T00:00:00Z","seq":41,"drowsiness_score":0.12,"eyes_closed_ms":180,"yawns":1,"speed_kmh":62.5}');
INSERT INTO "messages" VALUES(6,3,45,1767225600000,1795936655039,41,0,3014042832418507151,'{"device_id":"pump-3","timestamp":"2026-01-01T00:00:00Z","seq":41,"temperature":41.5,"vibration_mm_s":1.8}');
INSERT INTO "messages" VALUES(7,3,46,1767225600000,1795936655066,NULL,0,7231603892841611466,'{"status":"online","firmware_version":"1.4.0","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "messages" VALUES(8,3,47,1767225600000,1795936655104,NULL,0,7603643175829369259,'{"uptime":3600,"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "messages" VALUES(9,3,48,1767225600000,1795936655122,NULL,0,4290183356067985267,'{"alert":"bearing_hot","severity":"critical","temperature":92.0,"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "messages" VALUES(10,3,49,1767225600000,1795936655166,NULL,0,5449912354310651622,'{"alert":"bearing_hot","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "messages" VALUES(11,3,51,1767225600000,1795936655201,NULL,0,6605069559543018182,'{"command_id":"c-1001","status":"done","result":{"took_ms":120},"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "messages" VALUES(12,3,53,1767225600000,1795936655246,NULL,0,2568126043434067719,'{"version":3,"config":{"interval_seconds":60},"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "messages" VALUES(13,3,55,1767225600000,1795936655289,NULL,0,2723499642178016106,'{"id":"r7-12","version":"1.5.0","state":"downloading","percent":40,"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "messages" VALUES(14,4,3,1767225600000,1795936658265,NULL,0,9121669763877028892,'{"temperature":19.5,"humidity":51.0,"pressure":1009.1,"timestamp":"2026-01-01T00:00:00Z","device_id":"boiler-2"}');
INSERT INTO "messages" VALUES(15,4,4,1767225600000,1795936658279,NULL,0,8621119120784714780,'{"cpu_percent":12.5,"free_memory":40312,"queued":0,"timestamp":"2026-01-01T00:00:00Z","device_id":"boiler-2"}');
INSERT INTO "messages" VALUES(16,4,5,1767225600000,1795936658313,NULL,0,764551920439380281,'{"event":"valve_stuck","severity":"warning","position":40,"timestamp":"2026-01-01T00:00:00Z","device_id":"boiler-2"}');
INSERT INTO "messages" VALUES(17,4,9,1767225600000,1795936658344,NULL,0,3111904560802688139,'{"status":"online","uptime":7200,"battery_level":88,"signal_strength":-52,"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "messages" VALUES(18,4,10,1767225600000,1795936658369,NULL,0,6614838228219895321,'{"status":"online","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "messages" VALUES(19,4,11,1767225600000,1795936658403,NULL,0,4298149354701197826,'{"status":"offline","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "messages" VALUES(20,4,15,1767225600000,1795936658451,NULL,0,5788229926063268823,'{"device_id":"boiler-2","device_type":"boiler","firmware_version":"1.4.0","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO "messages" VALUES(21,5,56,1767225600000,1795936662312,NULL,0,295437711104516003,'{"timestamp":"2026-01-01T00:00:00.000Z","deviceId":"plug-7","sensors":{"powerW":38.2,"voltageV":229.8,"temperature":21.4,"humidity":48.0,"gasPpm":120,"flame":false},"metadata":{"firmwareVersion":"v2.0.3","signalStrength":-58,"batteryLevel":100}}');
INSERT INTO "messages" VALUES(22,5,57,1767225600000,1795936662446,NULL,0,8858323998177905242,'{"timestamp":"2026-01-01T00:00:00.000Z","deviceId":"plug-7","online":true,"status":{"uptime":3600,"freeMemory":61000,"wifiSignal":-58,"batteryLevel":100,"firmwareVersion":"v2.0.3"},"errors":[]}');
INSERT INTO "messages" VALUES(23,5,58,1767225600000,1795936662525,NULL,0,8759447716073782156,'{"timestamp":"2026-01-01T00:00:00.000Z","deviceId":"plug-7","uptime":3660,"freeMemory":60800,"wifiSignal":-59}');
INSERT INTO "messages" VALUES(24,6,23,1767225600000,1795936666197,41,0,1931537057709908363,'{"ts":1767225600000,"seq":41,"values":{"temperature":21.5,"door":false},"meta":{"firmware":"1.4.0","signal":-61}}');
INSERT INTO "messages" VALUES(25,6,24,1767225600000,1795936666227,42,0,9083277720528247974,'{"ts":1767225600000,"seq":42,"event":"door_opened","values":{"count":3}}');
INSERT INTO "messages" VALUES(26,6,25,1767225600000,1795936666244,NULL,0,1472241937986678211,'{"ts":1767225600000,"online":true,"meta":{"firmware":"1.4.0","uptime":12,"signal":-61}}');
INSERT INTO "messages" VALUES(27,6,26,1767225600000,1795936666254,NULL,0,8467200445754173111,'{"ts":1767225600000,"meta":{"uptime":3600,"signal":-60}}');
INSERT INTO "messages" VALUES(28,6,27,1767225600000,1795936666280,43,0,5530365872729658461,'{"ts":1767225600000,"seq":43,"alert":"battery_low","severity":"warning","message":"Battery at 9 %.","values":{"battery":9}}');
INSERT INTO "messages" VALUES(29,6,28,1767225600000,1795936666313,44,0,7790871993028925346,'{"ts":1767225600000,"seq":44,"alert":"battery_low"}');
INSERT INTO "messages" VALUES(30,6,30,1767225600000,1795936666362,45,0,2651505964979165040,'{"ts":1767225600000,"seq":45,"id":"0f8c2d","ok":true,"result":{"took_ms":120}}');
INSERT INTO "messages" VALUES(31,6,32,1767225600000,1795936666422,46,0,4958287831020315462,'{"ts":1767225600000,"seq":46,"version":3,"config":{"interval_s":30}}');
INSERT INTO "messages" VALUES(32,6,34,1767225600000,1795936666499,47,0,3188883624279839909,'{"ts":1767225600000,"seq":47,"id":"r7-12","version":"1.5.0","state":"downloading","percent":40}');
INSERT INTO "messages" VALUES(33,6,23,1795936666508,1795936666526,100,0,4980968806694101210,'{"ts": 1795936666508, "seq": 100, "values": {"temperature": 100}}');
INSERT INTO "messages" VALUES(34,6,23,1795936666543,1795936666565,101,0,2957133320333536752,'{"ts": 1795936666543, "seq": 101, "values": {"temperature": 101}}');
INSERT INTO "messages" VALUES(35,6,23,1795936666572,1795936666581,104,0,6586753869737964109,'{"ts": 1795936666572, "seq": 104, "values": {"temperature": 104}}');
INSERT INTO "messages" VALUES(36,7,37,1795936676063,1795936676063,NULL,1,1856279025429319886,'{}');
INSERT INTO "messages" VALUES(37,8,51,1795936703134,1795936703134,NULL,1,1856279025429319887,'{"command_id": "dc39cc991a0e7bf8", "status": "done"}');
CREATE TABLE metrics (
	id INTEGER NOT NULL, 
	name VARCHAR(256) NOT NULL, 
	CONSTRAINT pk_metrics PRIMARY KEY (id), 
	CONSTRAINT uq_metrics_name UNIQUE (name)
);
INSERT INTO "metrics" VALUES(1,'cpu_percent');
INSERT INTO "metrics" VALUES(2,'door');
INSERT INTO "metrics" VALUES(3,'drowsiness_score');
INSERT INTO "metrics" VALUES(4,'eyes_closed_ms');
INSERT INTO "metrics" VALUES(5,'flame');
INSERT INTO "metrics" VALUES(6,'free_memory');
INSERT INTO "metrics" VALUES(7,'gasPpm');
INSERT INTO "metrics" VALUES(8,'humidity');
INSERT INTO "metrics" VALUES(9,'powerW');
INSERT INTO "metrics" VALUES(10,'pressure');
INSERT INTO "metrics" VALUES(11,'queued');
INSERT INTO "metrics" VALUES(12,'speed_kmh');
INSERT INTO "metrics" VALUES(13,'temperature');
INSERT INTO "metrics" VALUES(14,'vibration_mm_s');
INSERT INTO "metrics" VALUES(15,'voltageV');
INSERT INTO "metrics" VALUES(16,'yawns');
CREATE TABLE metrics_refused (
	device_id BIGINT NOT NULL, 
	refused BIGINT NOT NULL, 
	example VARCHAR(256) NOT NULL, 
	at BIGINT NOT NULL, 
	CONSTRAINT pk_metrics_refused PRIMARY KEY (device_id)
);
CREATE TABLE outbox (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	action VARCHAR(16) NOT NULL, 
	username VARCHAR(300) NOT NULL, 
	sealed_secret BLOB, 
	created_at BIGINT NOT NULL, 
	next_at BIGINT NOT NULL, 
	attempts INTEGER DEFAULT '0' NOT NULL, 
	error TEXT
);
INSERT INTO "outbox" VALUES(21,'put','device:acme:late-1',X'674141414141427243394B764433665A4330703852486F4B76784C426B3546437952585A4C534F4C6C4A7772446B30737668494C417A37535570587759417857394765475F675F5863744538526367617A594966785238547267652D7974645A6337344931336F706C63574F6D6F69474D414E79722D673D',1795936943211,1795936943211,0,NULL);
INSERT INTO "outbox" VALUES(22,'put','boiler-1',NULL,1795936947246,1795936947246,0,NULL);
CREATE TABLE processes (
	name VARCHAR(128) NOT NULL, 
	role VARCHAR(32) NOT NULL, 
	pid INTEGER NOT NULL, 
	host VARCHAR(255) NOT NULL, 
	started_at BIGINT NOT NULL, 
	beat_at BIGINT NOT NULL, 
	detail TEXT DEFAULT '{}' NOT NULL, 
	CONSTRAINT pk_processes PRIMARY KEY (name)
);
INSERT INTO "processes" VALUES('ingest@vm:1229','ingest',1229,'vm',1795936587146,1795936918282,'{"connected": true, "stored": 37, "retries": 0, "rate": 0.0, "largest_batch": 1}');
CREATE TABLE retention (
	tenant VARCHAR(128) NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	days INTEGER NOT NULL, 
	CONSTRAINT pk_retention PRIMARY KEY (tenant, kind)
);
CREATE TABLE retention_progress (
	days INTEGER NOT NULL, 
	done_id BIGINT NOT NULL, 
	CONSTRAINT pk_retention_progress PRIMARY KEY (days)
);
CREATE TABLE rollup_open (
	device_id BIGINT NOT NULL, 
	channel_id INTEGER NOT NULL, 
	level SMALLINT NOT NULL, 
	bucket BIGINT NOT NULL, 
	CONSTRAINT pk_rollup_open PRIMARY KEY (device_id, channel_id, level, bucket)
)
 WITHOUT ROWID

;
INSERT INTO "rollup_open" VALUES(6,23,1,29932260);
CREATE TABLE rollup_queue (
	first_id BIGINT NOT NULL, 
	last_id BIGINT NOT NULL, 
	first_ts BIGINT NOT NULL, 
	last_ts BIGINT NOT NULL, 
	claimed BOOLEAN DEFAULT (false) NOT NULL, 
	CONSTRAINT pk_rollup_queue PRIMARY KEY (first_id)
);
CREATE TABLE rollup_state (
	id INTEGER NOT NULL, 
	revision BIGINT NOT NULL, 
	done_device BIGINT NOT NULL, 
	done_channel INTEGER NOT NULL, 
	done_minute BIGINT NOT NULL, 
	CONSTRAINT pk_rollup_state PRIMARY KEY (id)
);
INSERT INTO "rollup_state" VALUES(1,9,0,0,-1);
CREATE TABLE rollups (
	device_id BIGINT NOT NULL, 
	channel_id INTEGER NOT NULL, 
	level SMALLINT NOT NULL, 
	bucket BIGINT NOT NULL, 
	data BLOB NOT NULL, 
	CONSTRAINT pk_rollups PRIMARY KEY (device_id, channel_id, level, bucket)
)
 WITHOUT ROWID

;
INSERT INTO "rollups" VALUES(2,1,0,29453760,X'95009203CB3FBEB851EB851EB89204CCB4921001920CCB404F400000000000');
INSERT INTO "rollups" VALUES(2,1,1,29453760,X'95009203CB3FBEB851EB851EB89204CCB4921001920CCB404F400000000000');
INSERT INTO "rollups" VALUES(2,1,2,29453760,X'95009203CB3FBEB851EB851EB89204CCB4921001920CCB404F400000000000');
INSERT INTO "rollups" VALUES(3,45,0,29453760,X'9300920DCB4044C00000000000920ECB3FFCCCCCCCCCCCCD');
INSERT INTO "rollups" VALUES(3,45,1,29453760,X'9300920DCB4044C00000000000920ECB3FFCCCCCCCCCCCCD');
INSERT INTO "rollups" VALUES(3,45,2,29453760,X'9300920DCB4044C00000000000920ECB3FFCCCCCCCCCCCCD');
INSERT INTO "rollups" VALUES(4,3,0,29453760,X'9400920DCB40338000000000009208CB4049800000000000920ACB408F88CCCCCCCCCD');
INSERT INTO "rollups" VALUES(4,3,1,29453760,X'9400920DCB40338000000000009208CB4049800000000000920ACB408F88CCCCCCCCCD');
INSERT INTO "rollups" VALUES(4,3,2,29453760,X'9400920DCB40338000000000009208CB4049800000000000920ACB408F88CCCCCCCCCD');
INSERT INTO "rollups" VALUES(4,4,0,29453760,X'94009201CB40290000000000009206CD9D78920B00');
INSERT INTO "rollups" VALUES(4,4,1,29453760,X'94009201CB40290000000000009206CD9D78920B00');
INSERT INTO "rollups" VALUES(4,4,2,29453760,X'94009201CB40290000000000009206CD9D78920B00');
INSERT INTO "rollups" VALUES(5,56,0,29453760,X'97009209CB404319999999999A920FCB406CB9999999999A920DCB40356666666666669208CB40480000000000009207789205C2');
INSERT INTO "rollups" VALUES(5,56,1,29453760,X'97009209CB404319999999999A920FCB406CB9999999999A920DCB40356666666666669208CB40480000000000009207789205C2');
INSERT INTO "rollups" VALUES(5,56,2,29453760,X'97009209CB404319999999999A920FCB406CB9999999999A920DCB40356666666666669208CB40480000000000009207789205C2');
INSERT INTO "rollups" VALUES(6,23,0,29453760,X'9300920DCB40358000000000009202C2');
INSERT INTO "rollups" VALUES(6,23,0,29932277,X'92CDB5EC960D036468CD013168');
INSERT INTO "rollups" VALUES(6,23,1,29453760,X'9300920DCB40358000000000009202C2');
INSERT INTO "rollups" VALUES(6,23,2,29453760,X'9300920DCB40358000000000009202C2');
CREATE TABLE rotations (
	id VARCHAR(32) NOT NULL, 
	device_id INTEGER NOT NULL, 
	phase VARCHAR(16) NOT NULL, 
	actor VARCHAR(200) NOT NULL, 
	origin VARCHAR(200) DEFAULT '' NOT NULL, 
	reason TEXT DEFAULT '' NOT NULL, 
	created_at BIGINT NOT NULL, 
	keep_old BOOLEAN DEFAULT (true) NOT NULL, 
	sealed_secret BLOB, 
	old_verifier VARCHAR(200), 
	new_verifier VARCHAR(200), 
	old_created_at BIGINT NOT NULL, 
	sends INTEGER DEFAULT '0' NOT NULL, 
	first_sent_at BIGINT, 
	last_sent_at BIGINT, 
	sent_event BIGINT, 
	flips INTEGER DEFAULT '0' NOT NULL, 
	in_force_at BIGINT, 
	finished_at BIGINT, 
	outcome TEXT DEFAULT '' NOT NULL, 
	CONSTRAINT pk_rotations PRIMARY KEY (id), 
	CONSTRAINT fk_rotations_device_id FOREIGN KEY(device_id) REFERENCES devices (id) ON DELETE CASCADE
);
INSERT INTO "rotations" VALUES('dc39cc991a0e7bf8',8,'settled','cli:root','local','yearly',1795936699431,1,NULL,NULL,NULL,1795936688206,1,1795936699951,1795936699951,99,1,1795936704326,1795936704402,'the device has used the new password');
INSERT INTO "rotations" VALUES('c4bf03aaa5cffe5f',9,'prepared','cli:root','local','',1795936727704,1,X'674141414141427243394858736C30646348636F6C5639654234464E69664B6645583963397A6530455052795A6B6669437162774D7875566C794B2D6F3870654464664C6F6F6D74674C4A436665656B5368396F6D6E7561386546726C773771476F567250664F637254412D4A567347337141704E63593D','$7$101$Bb8INFWrTJBV14Gv$dpcacVyApYSMMXri8Jxktu/EFrHdN4Bd5XG/8HnMTq9Aijy9pBmLQMxJVZiLSlokdSG3zZ6+vR/DNChBaHn5Hw==','$7$101$JbtO0tFW3OAbV5O8$tpd5w8CDe6F/CdLGH6ugRfcPh668gALqg478atMF7uDWF7fZjQUdWIn+H/5G47ysUyZVnqdBjKNql55s1CDucw==',1795936716778,0,NULL,NULL,NULL,0,NULL,NULL,'');
CREATE TABLE sequences (
	device_id INTEGER NOT NULL, 
	upto BIGINT NOT NULL, 
	above TEXT DEFAULT '[]' NOT NULL, 
	lost BIGINT DEFAULT '0' NOT NULL, 
	gap_since BIGINT, 
	asked_at BIGINT, 
	CONSTRAINT pk_sequences PRIMARY KEY (device_id)
);
INSERT INTO "sequences" VALUES(2,0,'[[41,41]]',0,1795936651872,1795936722284);
INSERT INTO "sequences" VALUES(3,0,'[[41,41]]',0,1795936655039,1795936722284);
INSERT INTO "sequences" VALUES(6,0,'[[41,47],[100,101],[104,104]]',0,1795936666197,1795936737302);
CREATE TABLE sightings (
	username VARCHAR(300) NOT NULL, 
	authority VARCHAR(64) NOT NULL, 
	at BIGINT NOT NULL, 
	CONSTRAINT pk_sightings PRIMARY KEY (username)
);
CREATE TABLE strangers (
	dialect VARCHAR(64) NOT NULL, 
	tenant VARCHAR(128) NOT NULL, 
	name VARCHAR(300) NOT NULL, 
	first_seen_at BIGINT NOT NULL, 
	last_seen_at BIGINT NOT NULL, 
	messages BIGINT NOT NULL, 
	last_topic TEXT NOT NULL, 
	CONSTRAINT pk_strangers PRIMARY KEY (dialect, tenant, name)
);
INSERT INTO "strangers" VALUES('pulse','acme','ghost',1795936848996,1795936848996,1,'pulse/acme/ghost/telemetry');
CREATE TABLE tenants (
	name VARCHAR(128) NOT NULL, 
	created_at BIGINT NOT NULL, 
	CONSTRAINT pk_tenants PRIMARY KEY (name)
);
INSERT INTO "tenants" VALUES('acme',1795936603395);
CREATE TABLE throttles (
	scope VARCHAR(16) NOT NULL, 
	address VARCHAR(64) NOT NULL, 
	minute BIGINT NOT NULL, 
	failed INTEGER NOT NULL, 
	CONSTRAINT pk_throttles PRIMARY KEY (scope, address, minute)
);
CREATE TABLE users (
	id INTEGER NOT NULL, 
	name VARCHAR(128) NOT NULL, 
	password_hash VARCHAR(300) NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	tenant VARCHAR(128), 
	disabled BOOLEAN DEFAULT (false) NOT NULL, 
	created_at BIGINT NOT NULL, 
	CONSTRAINT pk_users PRIMARY KEY (id), 
	CONSTRAINT fk_users_tenant FOREIGN KEY(tenant) REFERENCES tenants (name), 
	CONSTRAINT uq_users_name UNIQUE (name)
);
INSERT INTO "users" VALUES(1,'admin','$argon2id$v=19$m=65536,t=3,p=4$JqoknhbKWrduFOkGw37cxg$hCdVlLCr2orGiXvfIyOACOOOMCjxYz1ssA0n2eqeuw4','admin',NULL,0,1795936583438);
INSERT INTO "users" VALUES(2,'olga','$argon2id$v=19$m=65536,t=3,p=4$bUbC2em/whUFbO9D+U7cEA$YkUjB5VRBu1yVdAm64xVct2nEdEtIKh0mm2TEsc1hhY','operator',NULL,0,1795936833637);
CREATE TABLE versions (
	name VARCHAR(64) NOT NULL, 
	value BIGINT NOT NULL, 
	CONSTRAINT pk_versions PRIMARY KEY (name)
);
INSERT INTO "versions" VALUES('devices',19);
CREATE INDEX ix_broker_events_username_id ON broker_events (username, id);
CREATE INDEX ix_certificates_unenforced ON certificates (revoked_at) WHERE revoked_at IS NOT NULL AND enforced_at IS NULL;
CREATE INDEX ix_certificates_username ON certificates (username);
CREATE INDEX ix_former_verifiers_until ON former_verifiers (until);
CREATE INDEX ix_former_verifiers_username ON former_verifiers (username);
CREATE UNIQUE INDEX uq_messages_once ON messages (device_id, ts, fingerprint);
CREATE UNIQUE INDEX uq_messages_seq ON messages (device_id, seq, fingerprint) WHERE time_source <> 0 AND seq IS NOT NULL;
CREATE INDEX ix_outbox_username ON outbox (username);
CREATE INDEX ix_sequences_gap_since ON sequences (gap_since);
CREATE INDEX ix_credentials_unproved ON credentials (mark) WHERE proved_at IS NULL;
CREATE INDEX ix_rotations_device_id_created_at ON rotations (device_id, created_at);
CREATE UNIQUE INDEX uq_rotations_active ON rotations (device_id) WHERE finished_at IS NULL;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('audit',33);
INSERT INTO "sqlite_sequence" VALUES('broker_events',131);
INSERT INTO "sqlite_sequence" VALUES('devices',16);
INSERT INTO "sqlite_sequence" VALUES('outbox',22);
INSERT INTO "sqlite_sequence" VALUES('dead_letters',2);
INSERT INTO "sqlite_sequence" VALUES('claim_codes',2);
INSERT INTO "sqlite_sequence" VALUES('former_verifiers',2);
INSERT INTO "sqlite_sequence" VALUES('certificates',2);
COMMIT;
