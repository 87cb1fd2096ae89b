SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE FUNCTION public.mooring_forget_numbers() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    DELETE FROM message_numbers n USING gone g
    WHERE g.time_source <> 0 AND g.seq IS NOT NULL
      AND n.device_id = g.device_id AND n.seq = g.seq AND n.fingerprint = g.fingerprint;
    RETURN NULL;
END $$;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.api_keys (
    id bigint NOT NULL,
    prefix character varying(16) NOT NULL,
    digest character varying(64) NOT NULL,
    name character varying(128) NOT NULL,
    role character varying(16) NOT NULL,
    tenant character varying(128),
    created_at bigint NOT NULL,
    expires_at bigint,
    revoked_at bigint
);
CREATE SEQUENCE public.api_keys_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.api_keys_id_seq OWNED BY public.api_keys.id;
CREATE TABLE public.audit (
    id bigint NOT NULL,
    at bigint NOT NULL,
    actor character varying(200) NOT NULL,
    origin character varying(200) DEFAULT ''::character varying NOT NULL,
    action character varying(64) NOT NULL,
    subject character varying(300) NOT NULL,
    tenant character varying(128),
    reason text DEFAULT ''::text NOT NULL
);
CREATE SEQUENCE public.audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.audit_id_seq OWNED BY public.audit.id;
CREATE TABLE public.broker_events (
    id bigint NOT NULL,
    at bigint NOT NULL,
    event character varying(32) NOT NULL,
    username character varying(300),
    client_id character varying(300),
    address character varying(64),
    detail text DEFAULT ''::text NOT NULL
);
CREATE SEQUENCE public.broker_events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.broker_events_id_seq OWNED BY public.broker_events.id;
CREATE TABLE public.broker_requests (
    id bigint NOT NULL,
    action character varying(16) NOT NULL,
    argument text DEFAULT '{}'::text NOT NULL,
    actor character varying(200) NOT NULL,
    created_at bigint NOT NULL,
    state character varying(16) DEFAULT 'waiting'::character varying NOT NULL,
    result text DEFAULT '{}'::text NOT NULL
);
CREATE SEQUENCE public.broker_requests_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.broker_requests_id_seq OWNED BY public.broker_requests.id;
CREATE TABLE public.broker_users (
    username character varying(300) NOT NULL,
    verifier character varying(200),
    publish text DEFAULT '[]'::text NOT NULL,
    subscribe text DEFAULT '[]'::text NOT NULL,
    note character varying(200) DEFAULT ''::character varying NOT NULL,
    created_at bigint NOT NULL
);
CREATE TABLE public.certificates (
    id bigint NOT NULL,
    serial character varying(40) NOT NULL,
    username character varying(300) NOT NULL,
    device_id bigint,
    fingerprint character varying(64) NOT NULL,
    authority character varying(64) NOT NULL,
    key_type character varying(32) NOT NULL,
    not_before bigint NOT NULL,
    not_after bigint NOT NULL,
    issued_at bigint NOT NULL,
    pem text NOT NULL,
    own_key boolean NOT NULL,
    revoked_at bigint,
    reason character varying(32),
    enforced_at bigint
);
CREATE SEQUENCE public.certificates_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.certificates_id_seq OWNED BY public.certificates.id;
CREATE TABLE public.channels (
    id integer NOT NULL,
    dialect character varying(64) NOT NULL,
    name character varying(128) NOT NULL,
    kind character varying(32) NOT NULL
);
CREATE SEQUENCE public.channels_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.channels_id_seq OWNED BY public.channels.id;
CREATE TABLE public.claim_codes (
    id bigint NOT NULL,
    digest character varying(64) NOT NULL,
    tenant character varying(128) NOT NULL,
    dialect character varying(64) NOT NULL,
    label character varying(200) DEFAULT ''::character varying NOT NULL,
    name character varying(128),
    groups text DEFAULT '[]'::text NOT NULL,
    created_at bigint NOT NULL,
    created_by character varying(200) NOT NULL,
    expires_at bigint NOT NULL,
    revoked_at bigint,
    claimed_at bigint,
    hardware_id character varying(128),
    device_id bigint
);
CREATE SEQUENCE public.claim_codes_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.claim_codes_id_seq OWNED BY public.claim_codes.id;
CREATE TABLE public.counters (
    name character varying(64) NOT NULL,
    value bigint NOT NULL
)
WITH (fillfactor='60');
CREATE TABLE public.credentials (
    device_id bigint NOT NULL,
    verifier character varying(200),
    created_at bigint NOT NULL,
    proved_at bigint,
    sealed_secret bytea,
    since_event bigint DEFAULT '0'::bigint NOT NULL,
    mark character varying(32),
    mark_event bigint
);
CREATE TABLE public.dead_letters (
    id bigint NOT NULL,
    received_at bigint NOT NULL,
    reason character varying(32) NOT NULL,
    detail text NOT NULL,
    topic text NOT NULL,
    tenant character varying(128),
    device_id bigint,
    size bigint NOT NULL,
    payload bytea NOT NULL
);
CREATE SEQUENCE public.dead_letters_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.dead_letters_id_seq OWNED BY public.dead_letters.id;
CREATE TABLE public.device_groups (
    device_id bigint NOT NULL,
    group_name character varying(128) NOT NULL
);
CREATE TABLE public.device_metrics (
    device_id bigint NOT NULL,
    metric_id integer NOT NULL
);
CREATE TABLE public.device_state (
    device_id bigint NOT NULL,
    last_seen_at bigint,
    online boolean,
    online_at bigint,
    firmware character varying(128),
    metadata text,
    metadata_at bigint,
    connected boolean,
    connected_at bigint,
    address character varying(64)
)
WITH (fillfactor='60');
CREATE TABLE public.devices (
    id bigint NOT NULL,
    tenant character varying(128) NOT NULL,
    name character varying(128) NOT NULL,
    scope character varying(260) NOT NULL,
    label character varying(200) DEFAULT ''::character varying NOT NULL,
    dialect character varying(64) NOT NULL,
    mac character varying(64),
    mac_key character varying(12),
    username character varying(300) NOT NULL,
    client_id character varying(300) NOT NULL,
    enabled boolean DEFAULT true NOT NULL,
    created_at bigint NOT NULL
);
CREATE SEQUENCE public.devices_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.devices_id_seq OWNED BY public.devices.id;
CREATE TABLE public.former_verifiers (
    id bigint NOT NULL,
    device_id bigint NOT NULL,
    username character varying(300) NOT NULL,
    tenant character varying(128) NOT NULL,
    verifier character varying(200) NOT NULL,
    removed boolean DEFAULT false NOT NULL,
    until bigint NOT NULL
);
CREATE SEQUENCE public.former_verifiers_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.former_verifiers_id_seq OWNED BY public.former_verifiers.id;
CREATE TABLE public.ingest_attempts (
    client_id character varying(128) NOT NULL,
    token bigint NOT NULL
)
WITH (fillfactor='60');
CREATE TABLE public.ingest_ledger (
    client_id character varying(128) NOT NULL,
    batch bigint NOT NULL,
    packets bytea NOT NULL
);
CREATE TABLE public.latest (
    device_id bigint NOT NULL,
    channel_id integer NOT NULL,
    ts bigint NOT NULL,
    received_at bigint NOT NULL,
    time_source smallint NOT NULL,
    payload text NOT NULL
)
WITH (fillfactor='60');
CREATE TABLE public.leases (
    name character varying(64) NOT NULL,
    holder character varying(128) NOT NULL,
    until bigint NOT NULL
);
CREATE TABLE public.message_numbers (
    device_id bigint NOT NULL,
    seq bigint NOT NULL,
    fingerprint bigint NOT NULL,
    ts bigint NOT NULL
);
CREATE TABLE public.messages (
    id bigint NOT NULL,
    device_id bigint NOT NULL,
    ts bigint NOT NULL,
    received_at bigint NOT NULL,
    seq bigint,
    fingerprint bigint NOT NULL,
    channel_id integer NOT NULL,
    time_source smallint NOT NULL,
    payload text NOT NULL
)
PARTITION BY RANGE (ts);
CREATE SEQUENCE public.messages_id_seq
    START WITH 1
    INCREMENT BY 65536
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.messages_id_seq OWNED BY public.messages.id;
CREATE TABLE public.messages_2026_11_23 (
    id bigint DEFAULT nextval('public.messages_id_seq'::regclass) NOT NULL,
    device_id bigint NOT NULL,
    ts bigint NOT NULL,
    received_at bigint NOT NULL,
    seq bigint,
    fingerprint bigint NOT NULL,
    channel_id integer NOT NULL,
    time_source smallint NOT NULL,
    payload text NOT NULL
);
CREATE TABLE public.messages_2026_11_30 (
    id bigint DEFAULT nextval('public.messages_id_seq'::regclass) NOT NULL,
    device_id bigint NOT NULL,
    ts bigint NOT NULL,
    received_at bigint NOT NULL,
    seq bigint,
    fingerprint bigint NOT NULL,
    channel_id integer NOT NULL,
    time_source smallint NOT NULL,
    payload text NOT NULL
);
CREATE TABLE public.messages_2026_12_07 (
    id bigint DEFAULT nextval('public.messages_id_seq'::regclass) NOT NULL,
    device_id bigint NOT NULL,
    ts bigint NOT NULL,
    received_at bigint NOT NULL,
    seq bigint,
    fingerprint bigint NOT NULL,
    channel_id integer NOT NULL,
    time_source smallint NOT NULL,
    payload text NOT NULL
);
CREATE TABLE public.messages_before (
    id bigint DEFAULT nextval('public.messages_id_seq'::regclass) NOT NULL,
    device_id bigint NOT NULL,
    ts bigint NOT NULL,
    received_at bigint NOT NULL,
    seq bigint,
    fingerprint bigint NOT NULL,
    channel_id integer NOT NULL,
    time_source smallint NOT NULL,
    payload text NOT NULL
);
CREATE TABLE public.metrics (
    id integer NOT NULL,
    name character varying(256) NOT NULL
);
CREATE SEQUENCE public.metrics_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.metrics_id_seq OWNED BY public.metrics.id;
CREATE TABLE public.metrics_refused (
    device_id bigint NOT NULL,
    refused bigint NOT NULL,
    example character varying(256) NOT NULL,
    at bigint NOT NULL
);
CREATE TABLE public.outbox (
    id bigint NOT NULL,
    action character varying(16) NOT NULL,
    username character varying(300) NOT NULL,
    sealed_secret bytea,
    created_at bigint NOT NULL,
    next_at bigint NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    error text
);
CREATE SEQUENCE public.outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.outbox_id_seq OWNED BY public.outbox.id;
CREATE TABLE public.processes (
    name character varying(128) NOT NULL,
    role character varying(32) NOT NULL,
    pid integer NOT NULL,
    host character varying(255) NOT NULL,
    started_at bigint NOT NULL,
    beat_at bigint NOT NULL,
    detail text DEFAULT '{}'::text NOT NULL
);
CREATE TABLE public.retention (
    tenant character varying(128) NOT NULL,
    kind character varying(32) NOT NULL,
    days integer NOT NULL
);
CREATE TABLE public.retention_progress (
    days integer NOT NULL,
    done_id bigint NOT NULL
);
CREATE TABLE public.rollup_open (
    device_id bigint NOT NULL,
    channel_id integer NOT NULL,
    level smallint NOT NULL,
    bucket bigint NOT NULL
);
CREATE TABLE public.rollup_queue (
    first_id bigint NOT NULL,
    last_id bigint NOT NULL,
    first_ts bigint NOT NULL,
    last_ts bigint NOT NULL,
    claimed boolean DEFAULT false NOT NULL
);
CREATE TABLE public.rollup_state (
    id integer NOT NULL,
    revision bigint NOT NULL,
    done_device bigint NOT NULL,
    done_channel integer NOT NULL,
    done_minute bigint NOT NULL
);
CREATE TABLE public.rollups (
    device_id bigint NOT NULL,
    channel_id integer NOT NULL,
    level smallint NOT NULL,
    bucket bigint NOT NULL,
    data bytea NOT NULL
)
WITH (fillfactor='60');
CREATE TABLE public.rotations (
    id character varying(32) NOT NULL,
    device_id bigint NOT NULL,
    phase character varying(16) NOT NULL,
    actor character varying(200) NOT NULL,
    origin character varying(200) DEFAULT ''::character varying NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    created_at bigint NOT NULL,
    keep_old boolean DEFAULT true NOT NULL,
    sealed_secret bytea,
    old_verifier character varying(200),
    new_verifier character varying(200),
    old_created_at bigint NOT NULL,
    sends integer DEFAULT 0 NOT NULL,
    first_sent_at bigint,
    last_sent_at bigint,
    sent_event bigint,
    flips integer DEFAULT 0 NOT NULL,
    in_force_at bigint,
    finished_at bigint,
    outcome text DEFAULT ''::text NOT NULL
);
CREATE TABLE public.sequences (
    device_id bigint NOT NULL,
    upto bigint NOT NULL,
    above text DEFAULT '[]'::text NOT NULL,
    lost bigint DEFAULT '0'::bigint NOT NULL,
    gap_since bigint,
    asked_at bigint
);
CREATE TABLE public.sightings (
    username character varying(300) NOT NULL,
    authority character varying(64) NOT NULL,
    at bigint NOT NULL
);
CREATE TABLE public.strangers (
    dialect character varying(64) NOT NULL,
    tenant character varying(128) NOT NULL,
    name character varying(300) NOT NULL,
    first_seen_at bigint NOT NULL,
    last_seen_at bigint NOT NULL,
    messages bigint NOT NULL,
    last_topic text NOT NULL
);
CREATE TABLE public.tenants (
    name character varying(128) NOT NULL,
    created_at bigint NOT NULL
);
CREATE TABLE public.throttles (
    scope character varying(16) NOT NULL,
    address character varying(64) NOT NULL,
    minute bigint NOT NULL,
    failed integer NOT NULL
);
CREATE TABLE public.users (
    id bigint NOT NULL,
    name character varying(128) NOT NULL,
    password_hash character varying(300) NOT NULL,
    role character varying(16) NOT NULL,
    tenant character varying(128),
    disabled boolean DEFAULT false NOT NULL,
    created_at bigint NOT NULL
);
CREATE SEQUENCE public.users_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.users_id_seq OWNED BY public.users.id;
CREATE TABLE public.versions (
    name character varying(64) NOT NULL,
    value bigint NOT NULL
);
ALTER TABLE ONLY public.messages ATTACH PARTITION public.messages_2026_11_23 FOR VALUES FROM ('1795392000000') TO ('1795996800000');
ALTER TABLE ONLY public.messages ATTACH PARTITION public.messages_2026_11_30 FOR VALUES FROM ('1795996800000') TO ('1796601600000');
ALTER TABLE ONLY public.messages ATTACH PARTITION public.messages_2026_12_07 FOR VALUES FROM ('1796601600000') TO ('1797206400000');
ALTER TABLE ONLY public.messages ATTACH PARTITION public.messages_before FOR VALUES FROM (MINVALUE) TO ('1795392000000');
ALTER TABLE ONLY public.api_keys ALTER COLUMN id SET DEFAULT nextval('public.api_keys_id_seq'::regclass);
ALTER TABLE ONLY public.audit ALTER COLUMN id SET DEFAULT nextval('public.audit_id_seq'::regclass);
ALTER TABLE ONLY public.broker_events ALTER COLUMN id SET DEFAULT nextval('public.broker_events_id_seq'::regclass);
ALTER TABLE ONLY public.broker_requests ALTER COLUMN id SET DEFAULT nextval('public.broker_requests_id_seq'::regclass);
ALTER TABLE ONLY public.certificates ALTER COLUMN id SET DEFAULT nextval('public.certificates_id_seq'::regclass);
ALTER TABLE ONLY public.channels ALTER COLUMN id SET DEFAULT nextval('public.channels_id_seq'::regclass);
ALTER TABLE ONLY public.claim_codes ALTER COLUMN id SET DEFAULT nextval('public.claim_codes_id_seq'::regclass);
ALTER TABLE ONLY public.dead_letters ALTER COLUMN id SET DEFAULT nextval('public.dead_letters_id_seq'::regclass);
ALTER TABLE ONLY public.devices ALTER COLUMN id SET DEFAULT nextval('public.devices_id_seq'::regclass);
ALTER TABLE ONLY public.former_verifiers ALTER COLUMN id SET DEFAULT nextval('public.former_verifiers_id_seq'::regclass);
ALTER TABLE ONLY public.messages ALTER COLUMN id SET DEFAULT nextval('public.messages_id_seq'::regclass);
ALTER TABLE ONLY public.metrics ALTER COLUMN id SET DEFAULT nextval('public.metrics_id_seq'::regclass);
ALTER TABLE ONLY public.outbox ALTER COLUMN id SET DEFAULT nextval('public.outbox_id_seq'::regclass);
ALTER TABLE ONLY public.users ALTER COLUMN id SET DEFAULT nextval('public.users_id_seq'::regclass);
INSERT INTO public.alembic_version VALUES ('0002');
INSERT INTO public.api_keys VALUES (1, 'd4155a52', 'e04e42c4ded5cbb1972161d156207bd258a71a1a6e0b8f7abc5a4f7cd74f674c', 'reader', 'admin', NULL, 1795936837283, NULL, NULL);
INSERT INTO public.audit VALUES (1, 1795936583440, 'mooring', 'local', 'user.add', 'admin', NULL, 'the first one');
INSERT INTO public.audit VALUES (2, 1795936603438, 'cli:root', 'local', 'device.add', 'acme:trap-1', 'acme', '');
INSERT INTO public.audit VALUES (3, 1795936613260, 'cli:root', 'local', 'device.add', 'acme:car-1', 'acme', '');
INSERT INTO public.audit VALUES (4, 1795936623738, 'cli:root', 'local', 'device.add', 'acme:pump-1', 'acme', '');
INSERT INTO public.audit VALUES (5, 1795936631847, 'cli:root', 'local', 'device.add', 'acme:boiler-1', 'acme', '');
INSERT INTO public.audit VALUES (6, 1795936638596, 'cli:root', 'local', 'device.add', 'acme:plug-1', 'acme', '');
INSERT INTO public.audit VALUES (7, 1795936644370, 'cli:root', 'local', 'device.add', 'acme:sensor-1', 'acme', '');
INSERT INTO public.audit VALUES (8, 1795936673806, 'cli:root', 'local', 'claim.new', 'claim 1', 'acme', '');
INSERT INTO public.audit VALUES (9, 1795936675895, 'device:AA:BB:CC:00:00:02', '127.0.0.1', 'claim', 'acme:aabbcc000002', 'acme', 'claim 1');
INSERT INTO public.audit VALUES (10, 1795936681401, 'cli:root', 'local', 'claim.new', 'claim 2', 'acme', '');
INSERT INTO public.audit VALUES (11, 1795936688305, 'cli:root', 'local', 'device.add', 'acme:pump-2', 'acme', '');
INSERT INTO public.audit VALUES (12, 1795936699660, 'cli:root', 'local', 'rotation.start', 'acme:pump-2', 'acme', 'yearly');
INSERT INTO public.audit VALUES (13, 1795936704406, 'mooring', 'local', 'rotation.settled', 'acme:pump-2', 'acme', 'the device has used the new password');
INSERT INTO public.audit VALUES (14, 1795936717054, 'cli:root', 'local', 'device.add', 'acme:pump-3', 'acme', '');
INSERT INTO public.audit VALUES (15, 1795936727773, 'cli:root', 'local', 'rotation.start', 'acme:pump-3', 'acme', '');
INSERT INTO public.audit VALUES (16, 1795936741030, 'cli:root', 'local', 'device.add', 'acme:pump-4', 'acme', '');
INSERT INTO public.audit VALUES (17, 1795936755570, 'cli:root', 'local', 'device.add', 'acme:car-4', 'acme', '');
INSERT INTO public.audit VALUES (18, 1795936767678, 'cli:root', 'local', 'device.add', 'acme:pump-5', 'acme', '');
INSERT INTO public.audit VALUES (19, 1795936775753, 'cli:root', 'local', 'device.disable', 'acme:pump-5', 'acme', 'stolen');
INSERT INTO public.audit VALUES (20, 1795936784096, 'cli:root', 'local', 'device.add', 'acme:pump-6', 'acme', '');
INSERT INTO public.audit VALUES (21, 1795936793149, 'cli:root', 'local', 'device.remove', 'acme:pump-6', 'acme', '');
INSERT INTO public.audit VALUES (22, 1795936805047, 'cli:root', 'local', 'device.add', 'acme:car-2', 'acme', '');
INSERT INTO public.audit VALUES (23, 1795936811784, 'cli:root', 'local', 'certificate.issue', 'acme:car-2', 'acme', 'c9d9300abfbfb95c0c723e5faf5151286581f33');
INSERT INTO public.audit VALUES (24, 1795936816133, 'cli:root', 'local', 'device.add', 'acme:car-3', 'acme', '');
INSERT INTO public.audit VALUES (25, 1795936821142, 'cli:root', 'local', 'certificate.issue', 'acme:car-3', 'acme', '56aaf65696425db2911b78e9da55bac880eb3a59');
INSERT INTO public.audit VALUES (26, 1795936826807, 'cli:root', 'local', 'certificate.revoke', 'acme:car-3', 'acme', '56aaf65696425db2911b78e9da55bac880eb3a59 keyCompromise');
INSERT INTO public.audit VALUES (27, 1795936833640, 'cli:root', 'local', 'user.add', 'olga', NULL, '');
INSERT INTO public.audit VALUES (28, 1795936837290, 'cli:root', 'local', 'key.add', 'reader (d4155a52)', NULL, '');
INSERT INTO public.audit VALUES (29, 1795936846728, 'cli:root', 'local', 'broker_user.create', 'bridge', NULL, '');
INSERT INTO public.audit VALUES (30, 1795936849242, 'key:reader', '127.0.0.1', 'mqtt.publish', 'pulse/acme/pump-4/commands', NULL, '');
INSERT INTO public.audit VALUES (31, 1795936849317, 'key:reader', '127.0.0.1', 'mqtt.publish', 'device/commands/car-4', NULL, '');
INSERT INTO public.audit VALUES (32, 1795936943232, 'cli:root', 'local', 'device.add', 'acme:late-1', 'acme', '');
INSERT INTO public.audit VALUES (33, 1795936947247, 'cli:root', 'local', 'device.disable', 'acme:boiler-1', 'acme', 'sold');
INSERT INTO public.broker_events VALUES (1, 1795936583000, 'running', NULL, NULL, NULL, 'mosquitto version 2.0.11 running');
INSERT INTO public.broker_events VALUES (2, 1795936583000, 'connected', 'service:mooring', 'mooring-control-8e7b347ecad9', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (3, 1795936583000, 'disconnected', 'service:mooring', 'mooring-control-8e7b347ecad9', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (4, 1795936587000, 'connected', 'service:mooring', 'mooring-ingest', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (5, 1795936593000, 'connected', 'service:mooring', 'mooring-serve-vm-1265', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (6, 1795936597000, 'connected', 'service:mooring', 'mooring-control-dcc9e97e423f', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (7, 1795936597000, 'disconnected', 'service:mooring', 'mooring-control-dcc9e97e423f', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (8, 1795936603000, 'connected', 'service:mooring', 'mooring-control-cd1c0036d4c6', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (9, 1795936603000, 'connected', 'service:mooring', 'mooring-mark-a4719bb4b85f49e4', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (10, 1795936603000, 'disconnected', 'service:mooring', 'mooring-mark-a4719bb4b85f49e4', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (11, 1795936613000, 'connected', 'service:mooring', 'mooring-mark-d043ec24e640204e', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (12, 1795936613000, 'disconnected', 'service:mooring', 'mooring-mark-d043ec24e640204e', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (13, 1795936624000, 'connected', 'service:mooring', 'mooring-mark-72f079c814d5807a', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (14, 1795936624000, 'disconnected', 'service:mooring', 'mooring-mark-72f079c814d5807a', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (15, 1795936632000, 'connected', 'service:mooring', 'mooring-mark-53c62cae39419349', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (16, 1795936632000, 'disconnected', 'service:mooring', 'mooring-mark-53c62cae39419349', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (17, 1795936638000, 'connected', 'service:mooring', 'mooring-mark-189213742467bb53', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (18, 1795936638000, 'disconnected', 'service:mooring', 'mooring-mark-189213742467bb53', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (19, 1795936644000, 'connected', 'service:mooring', 'mooring-mark-052bb415b5595be4', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (20, 1795936644000, 'disconnected', 'service:mooring', 'mooring-mark-052bb415b5595be4', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (21, 1795936648000, 'connected', 'AA:BB:CC:00:00:01', 'trap-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (22, 1795936648000, 'disconnected', 'AA:BB:CC:00:00:01', 'trap-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (23, 1795936648000, 'connected', 'AA:BB:CC:00:00:01', 'trap-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (24, 1795936648000, 'disconnected', 'AA:BB:CC:00:00:01', 'trap-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (25, 1795936648000, 'connected', 'AA:BB:CC:00:00:01', 'trap-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (26, 1795936648000, 'disconnected', 'AA:BB:CC:00:00:01', 'trap-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (27, 1795936648000, 'connected', 'AA:BB:CC:00:00:01', 'trap-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (28, 1795936648000, 'disconnected', 'AA:BB:CC:00:00:01', 'trap-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (29, 1795936651000, 'connected', 'car-1', 'car-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (30, 1795936651000, 'disconnected', 'car-1', 'car-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (31, 1795936655000, 'connected', 'device:acme:pump-1', 'acme:pump-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (32, 1795936655000, 'disconnected', 'device:acme:pump-1', 'acme:pump-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (33, 1795936655000, 'connected', 'device:acme:pump-1', 'acme:pump-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (34, 1795936655000, 'disconnected', 'device:acme:pump-1', 'acme:pump-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (35, 1795936655000, 'connected', 'device:acme:pump-1', 'acme:pump-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (36, 1795936655000, 'disconnected', 'device:acme:pump-1', 'acme:pump-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (37, 1795936655000, 'connected', 'device:acme:pump-1', 'acme:pump-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (38, 1795936655000, 'disconnected', 'device:acme:pump-1', 'acme:pump-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (39, 1795936655000, 'connected', 'device:acme:pump-1', 'acme:pump-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (40, 1795936655000, 'disconnected', 'device:acme:pump-1', 'acme:pump-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (41, 1795936655000, 'connected', 'device:acme:pump-1', 'acme:pump-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (42, 1795936655000, 'disconnected', 'device:acme:pump-1', 'acme:pump-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (43, 1795936655000, 'connected', 'device:acme:pump-1', 'acme:pump-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (44, 1795936655000, 'disconnected', 'device:acme:pump-1', 'acme:pump-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (45, 1795936655000, 'connected', 'device:acme:pump-1', 'acme:pump-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (46, 1795936655000, 'disconnected', 'device:acme:pump-1', 'acme:pump-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (47, 1795936658000, 'connected', 'boiler-1', 'boiler-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (48, 1795936658000, 'disconnected', 'boiler-1', 'boiler-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (49, 1795936658000, 'connected', 'boiler-1', 'boiler-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (50, 1795936658000, 'disconnected', 'boiler-1', 'boiler-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (51, 1795936658000, 'connected', 'boiler-1', 'boiler-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (52, 1795936658000, 'disconnected', 'boiler-1', 'boiler-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (53, 1795936658000, 'connected', 'boiler-1', 'boiler-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (54, 1795936658000, 'disconnected', 'boiler-1', 'boiler-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (55, 1795936658000, 'connected', 'boiler-1', 'boiler-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (56, 1795936658000, 'disconnected', 'boiler-1', 'boiler-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (57, 1795936658000, 'connected', 'boiler-1', 'boiler-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (58, 1795936658000, 'disconnected', 'boiler-1', 'boiler-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (59, 1795936658000, 'connected', 'boiler-1', 'boiler-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (60, 1795936658000, 'disconnected', 'boiler-1', 'boiler-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (61, 1795936662000, 'connected', 'plug-1', 'plug-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (62, 1795936662000, 'disconnected', 'plug-1', 'plug-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (63, 1795936662000, 'connected', 'plug-1', 'plug-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (64, 1795936662000, 'disconnected', 'plug-1', 'plug-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (65, 1795936662000, 'connected', 'plug-1', 'plug-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (66, 1795936662000, 'disconnected', 'plug-1', 'plug-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (67, 1795936666000, 'connected', 'acme/sensor-1', 'acme:sensor-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (68, 1795936666000, 'disconnected', 'acme/sensor-1', 'acme:sensor-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (69, 1795936666000, 'connected', 'acme/sensor-1', 'acme:sensor-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (70, 1795936666000, 'disconnected', 'acme/sensor-1', 'acme:sensor-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (71, 1795936666000, 'connected', 'acme/sensor-1', 'acme:sensor-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (72, 1795936666000, 'disconnected', 'acme/sensor-1', 'acme:sensor-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (73, 1795936666000, 'connected', 'acme/sensor-1', 'acme:sensor-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (74, 1795936666000, 'disconnected', 'acme/sensor-1', 'acme:sensor-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (75, 1795936666000, 'connected', 'acme/sensor-1', 'acme:sensor-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (76, 1795936666000, 'disconnected', 'acme/sensor-1', 'acme:sensor-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (77, 1795936666000, 'connected', 'acme/sensor-1', 'acme:sensor-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (78, 1795936666000, 'disconnected', 'acme/sensor-1', 'acme:sensor-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (79, 1795936666000, 'connected', 'acme/sensor-1', 'acme:sensor-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (80, 1795936666000, 'disconnected', 'acme/sensor-1', 'acme:sensor-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (81, 1795936666000, 'connected', 'acme/sensor-1', 'acme:sensor-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (82, 1795936666000, 'disconnected', 'acme/sensor-1', 'acme:sensor-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (83, 1795936666000, 'connected', 'acme/sensor-1', 'acme:sensor-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (84, 1795936666000, 'disconnected', 'acme/sensor-1', 'acme:sensor-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (85, 1795936666000, 'connected', 'acme/sensor-1', 'acme:sensor-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (86, 1795936666000, 'disconnected', 'acme/sensor-1', 'acme:sensor-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (87, 1795936666000, 'connected', 'acme/sensor-1', 'acme:sensor-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (88, 1795936666000, 'disconnected', 'acme/sensor-1', 'acme:sensor-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (89, 1795936666000, 'connected', 'acme/sensor-1', 'acme:sensor-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (90, 1795936666000, 'disconnected', 'acme/sensor-1', 'acme:sensor-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (91, 1795936666000, 'connected', 'acme/sensor-1', 'acme:sensor-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (92, 1795936666000, 'disconnected', 'acme/sensor-1', 'acme:sensor-1', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (93, 1795936676000, 'connected', 'service:mooring', 'mooring-mark-a5351c17a4227371', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (94, 1795936676000, 'disconnected', 'service:mooring', 'mooring-mark-a5351c17a4227371', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (95, 1795936676000, 'connected', 'AA:BB:CC:00:00:02', 'aabbcc000002', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (96, 1795936676000, 'disconnected', 'AA:BB:CC:00:00:02', 'aabbcc000002', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (97, 1795936688000, 'connected', 'service:mooring', 'mooring-mark-9392fa2d4d108d14', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (98, 1795936688000, 'disconnected', 'service:mooring', 'mooring-mark-9392fa2d4d108d14', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (99, 1795936689000, 'connected', 'device:acme:pump-2', 'acme:pump-2', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (100, 1795936700000, 'connected', 'service:mooring', 'mooring-control-3f8d83a3e270', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (101, 1795936700000, 'disconnected', 'device:acme:pump-2', 'acme:pump-2', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (102, 1795936703000, 'connected', 'device:acme:pump-2', 'acme:pump-2', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (103, 1795936703000, 'disconnected', 'device:acme:pump-2', 'acme:pump-2', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (104, 1795936703000, 'refused', NULL, NULL, '127.0.0.1', 'not authorised');
INSERT INTO public.broker_events VALUES (105, 1795936703000, 'refused', NULL, NULL, '127.0.0.1', 'not authorised');
INSERT INTO public.broker_events VALUES (106, 1795936703000, 'connected', 'device:acme:pump-2', 'acme:pump-2', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (107, 1795936704000, 'connected', 'service:mooring', 'mooring-mark-b8ea9d0bd53120ab', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (108, 1795936704000, 'disconnected', 'service:mooring', 'mooring-mark-b8ea9d0bd53120ab', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (109, 1795936705000, 'disconnected', 'device:acme:pump-2', 'acme:pump-2', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (110, 1795936717000, 'connected', 'service:mooring', 'mooring-mark-71497ce44d4f7a9f', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (111, 1795936717000, 'disconnected', 'service:mooring', 'mooring-mark-71497ce44d4f7a9f', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (112, 1795936741000, 'connected', 'service:mooring', 'mooring-mark-b564a2f160b73038', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (113, 1795936741000, 'disconnected', 'service:mooring', 'mooring-mark-b564a2f160b73038', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (114, 1795936755000, 'connected', 'service:mooring', 'mooring-mark-41a470dedfddf603', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (115, 1795936755000, 'disconnected', 'service:mooring', 'mooring-mark-41a470dedfddf603', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (116, 1795936758000, 'connected', 'device:acme:pump-4', 'acme:pump-4', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (117, 1795936758000, 'disconnected', 'device:acme:pump-4', 'acme:pump-4', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (118, 1795936758000, 'connected', 'car-4', 'car-4', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (119, 1795936758000, 'disconnected', 'car-4', 'car-4', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (120, 1795936768000, 'connected', 'service:mooring', 'mooring-mark-b997a83b2e1f90d9', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (121, 1795936768000, 'disconnected', 'service:mooring', 'mooring-mark-b997a83b2e1f90d9', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (122, 1795936784000, 'connected', 'service:mooring', 'mooring-mark-2db544d34707759a', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (123, 1795936784000, 'disconnected', 'service:mooring', 'mooring-mark-2db544d34707759a', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (124, 1795936805000, 'connected', 'service:mooring', 'mooring-mark-6237ba68d7022ad2', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (125, 1795936805000, 'disconnected', 'service:mooring', 'mooring-mark-6237ba68d7022ad2', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (126, 1795936816000, 'connected', 'service:mooring', 'mooring-mark-39be02674abd48d5', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (127, 1795936816000, 'disconnected', 'service:mooring', 'mooring-mark-39be02674abd48d5', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (128, 1795936827000, 'connected', 'service:mooring', 'mooring-control-896de8edc010', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (129, 1795936827000, 'disconnected', 'service:mooring', 'mooring-control-896de8edc010', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (130, 1795936848000, 'connected', 'bridge', 'bridge', '127.0.0.1', '');
INSERT INTO public.broker_events VALUES (131, 1795936848000, 'disconnected', 'bridge', 'bridge', '127.0.0.1', '');
INSERT INTO public.broker_users VALUES ('bridge', '$7$101$9rot/Rj+bjEod0xx$2jBM/DAlmvJzYKT9GZNpLAAuHM/QLs9SpbYsBJT4i9h+R1cM7hCIqFzirA1sVwmQ518QHGWwaBsasCPL3AK1sg==', '["pulse/#"]', '[]', '', 1795936846683);
INSERT INTO public.certificates VALUES (1, 'c9d9300abfbfb95c0c723e5faf5151286581f33', 'car-2', 14, '94652e3eef62145640297cfd493ff57ce23b7b6e3b1fb74ca938fbb32ca8910f', 'a2d7c0ebc73de70a44c2bf3197cdb30df8828fc0dd5dbbecabb174c1bce7536e', 'ec-p256', 1795933211000, 2111296583000, 1795936811738, '-----BEGIN CERTIFICATE-----
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
', false, NULL, NULL, NULL);
INSERT INTO public.certificates VALUES (2, '56aaf65696425db2911b78e9da55bac880eb3a59', 'car-3', 15, 'efbe92a8b04dc8e8cbb2c332c4496fe771c14d297ece93d5130ef91dfbb2e698', 'a2d7c0ebc73de70a44c2bf3197cdb30df8828fc0dd5dbbecabb174c1bce7536e', 'ec-p256', 1795933221000, 2111296583000, 1795936821063, '-----BEGIN CERTIFICATE-----
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
', false, 1795936826701, 'keyCompromise', 1795936827304);
INSERT INTO public.channels VALUES (1, 'drivesafe', 'telemetry', 'telemetry');
INSERT INTO public.channels VALUES (2, 'drivesafe', 'command', 'command');
INSERT INTO public.channels VALUES (3, 'iotflow', 'telemetry', 'telemetry');
INSERT INTO public.channels VALUES (4, 'iotflow', 'metrics', 'metrics');
INSERT INTO public.channels VALUES (5, 'iotflow', 'event', 'event');
INSERT INTO public.channels VALUES (6, 'iotflow', 'command', 'command');
INSERT INTO public.channels VALUES (7, 'iotflow', 'commands_config', 'command');
INSERT INTO public.channels VALUES (8, 'iotflow', 'firmware', 'firmware');
INSERT INTO public.channels VALUES (9, 'iotflow', 'heartbeat', 'heartbeat');
INSERT INTO public.channels VALUES (10, 'iotflow', 'online', 'online');
INSERT INTO public.channels VALUES (11, 'iotflow', 'offline', 'offline');
INSERT INTO public.channels VALUES (12, 'iotflow', 'config', 'config');
INSERT INTO public.channels VALUES (13, 'iotflow', 'fleet_command', 'fleet_command');
INSERT INTO public.channels VALUES (14, 'iotflow', 'fleet_status', 'fleet_status');
INSERT INTO public.channels VALUES (15, 'iotflow', 'register', 'register');
INSERT INTO public.channels VALUES (16, 'iotflow', 'register_response', 'register_response');
INSERT INTO public.channels VALUES (17, 'iotflow', 'system_health', 'system');
INSERT INTO public.channels VALUES (18, 'iotflow', 'system_metrics', 'system');
INSERT INTO public.channels VALUES (19, 'iotflow', 'system_alerts', 'system');
INSERT INTO public.channels VALUES (20, 'iotflow', 'monitoring_broker', 'monitoring');
INSERT INTO public.channels VALUES (21, 'iotflow', 'monitoring_clients', 'monitoring');
INSERT INTO public.channels VALUES (22, 'iotflow', 'monitoring_traffic', 'monitoring');
INSERT INTO public.channels VALUES (23, 'mooring', 'telemetry', 'telemetry');
INSERT INTO public.channels VALUES (24, 'mooring', 'event', 'event');
INSERT INTO public.channels VALUES (25, 'mooring', 'status', 'status');
INSERT INTO public.channels VALUES (26, 'mooring', 'heartbeat', 'heartbeat');
INSERT INTO public.channels VALUES (27, 'mooring', 'alert', 'alert');
INSERT INTO public.channels VALUES (28, 'mooring', 'alert_cleared', 'alert_cleared');
INSERT INTO public.channels VALUES (29, 'mooring', 'command', 'command');
INSERT INTO public.channels VALUES (30, 'mooring', 'reply', 'reply');
INSERT INTO public.channels VALUES (31, 'mooring', 'config', 'config');
INSERT INTO public.channels VALUES (32, 'mooring', 'config_reported', 'config_reported');
INSERT INTO public.channels VALUES (33, 'mooring', 'firmware', 'firmware');
INSERT INTO public.channels VALUES (34, 'mooring', 'firmware_progress', 'firmware_progress');
INSERT INTO public.channels VALUES (35, 'mooring', 'receipt', 'receipt');
INSERT INTO public.channels VALUES (36, 'mooring', 'rerequest', 'rerequest');
INSERT INTO public.channels VALUES (37, 'mousetrap', 'status', 'status');
INSERT INTO public.channels VALUES (38, 'mousetrap', 'firmware_progress', 'firmware_progress');
INSERT INTO public.channels VALUES (39, 'mousetrap', 'alert', 'alert');
INSERT INTO public.channels VALUES (40, 'mousetrap', 'alert_cleared', 'alert_cleared');
INSERT INTO public.channels VALUES (41, 'mousetrap', 'command', 'command');
INSERT INTO public.channels VALUES (42, 'mousetrap', 'firmware', 'firmware');
INSERT INTO public.channels VALUES (43, 'mousetrap', 'global_firmware', 'firmware');
INSERT INTO public.channels VALUES (44, 'mousetrap', 'filesystem', 'filesystem');
INSERT INTO public.channels VALUES (45, 'pulse', 'telemetry', 'telemetry');
INSERT INTO public.channels VALUES (46, 'pulse', 'status', 'status');
INSERT INTO public.channels VALUES (47, 'pulse', 'heartbeat', 'heartbeat');
INSERT INTO public.channels VALUES (48, 'pulse', 'alert', 'alert');
INSERT INTO public.channels VALUES (49, 'pulse', 'alert_cleared', 'alert_cleared');
INSERT INTO public.channels VALUES (50, 'pulse', 'command', 'command');
INSERT INTO public.channels VALUES (51, 'pulse', 'reply', 'reply');
INSERT INTO public.channels VALUES (52, 'pulse', 'config', 'config');
INSERT INTO public.channels VALUES (53, 'pulse', 'config_reported', 'config_reported');
INSERT INTO public.channels VALUES (54, 'pulse', 'firmware', 'firmware');
INSERT INTO public.channels VALUES (55, 'pulse', 'firmware_progress', 'firmware_progress');
INSERT INTO public.channels VALUES (56, 'smarthome', 'telemetry', 'telemetry');
INSERT INTO public.channels VALUES (57, 'smarthome', 'status', 'status');
INSERT INTO public.channels VALUES (58, 'smarthome', 'heartbeat', 'heartbeat');
INSERT INTO public.channels VALUES (59, 'smarthome', 'command', 'command');
INSERT INTO public.channels VALUES (60, 'smarthome', 'config', 'config');
INSERT INTO public.claim_codes VALUES (1, '64f1af8b17a9eb4e4f8f45e20259a3e999664a3d7ae6e38bca7b80867b7be0ab', 'acme', 'mousetrap', 'Attic', NULL, '[]', 1795936673740, 'cli:root', 1796541473740, NULL, 1795936675895, 'aabbcc000002', 7);
INSERT INTO public.claim_codes VALUES (2, '19cbbc12f3418efa9bc99c81a641a9a85c0a7537abde5cfa5a1d0d4db899f97e', 'acme', 'pulse', '', NULL, '[]', 1795936681366, 'cli:root', 2106976681366, NULL, NULL, NULL, NULL);
INSERT INTO public.counters VALUES ('batches', 39);
INSERT INTO public.counters VALUES ('dead_letters', 2);
INSERT INTO public.counters VALUES ('messages_stored', 37);
INSERT INTO public.counters VALUES ('rollup_messages', 9);
INSERT INTO public.credentials VALUES (1, '$7$101$Sxh4638Q8u4mnP+l$XodHu+hWXryhGSlc/QP8xHHZZYLmD42gZCuKk8hys72mnRNKUDGAVi/HdikyXi2xOum+brRvK4YqY64270Ve9w==', 1795936603390, 1795936649261, NULL, 7, 'a4719bb4b85f49e4', 9);
INSERT INTO public.credentials VALUES (2, '$7$101$fjmi1SmlGDfLrfe4$3O3YgP1leDTAvnB/9bNHl4V7GuOJh0dOqTT12vRDhwJxBsbXeEQ26apML2YVT36CWm+Fy/BVWJ91lEBYAOIUgw==', 1795936613169, 1795936652408, NULL, 10, 'd043ec24e640204e', 11);
INSERT INTO public.credentials VALUES (3, '$7$101$wWen+AH/UsAy7gIc$xSBca6+bIaCluHtGpqDy3igYZjNPajKfCoaZbN3sM3L7FaO5WKt2KifHLKFVL/ccXXdLgH2HrX1sui6BE0PDiA==', 1795936623601, 1795936655516, NULL, 12, '72f079c814d5807a', 13);
INSERT INTO public.credentials VALUES (4, '$7$101$ziYjeIJCUsMzQgCe$7z8688HbZjdc80/OzJ04AA6DWl+SOSBiCmvKX/S0vRtdanvAWCmwGjYiylZ1LbiWQURxxJdu9Vsx214BN8Xv8Q==', 1795936631783, 1795936658962, NULL, 14, '53c62cae39419349', 15);
INSERT INTO public.credentials VALUES (5, '$7$101$yaxdAYkN/3+bw+qI$gD8LEewT+5VyfXRzzqs9cc8Rhn7hiWbRvylByH4BPp56TIqB2KOjI8IkZCXoI+1gcD4OlQQMoxgep3t76VB46g==', 1795936638559, 1795936662905, NULL, 16, '189213742467bb53', 17);
INSERT INTO public.credentials VALUES (6, '$7$101$tUxfOaUnJUDGPOQy$WnDgYu5UksJwo7WlR0ALXectmp+/ubk/d9wVLFmvDuj0y6unnXAaz6WpKA4DdqhTnh4ni5WA4RbzzlithV4E7w==', 1795936644334, 1795936666492, NULL, 18, '052bb415b5595be4', 19);
INSERT INTO public.credentials VALUES (7, '$7$101$/mHvCkCDrgfFIgH0$Xwnq8nK0PH/Jk77fI5FexexkwdP5D4JZ3xJb+zlOplTO9TWqrt7uLIkpMJ4wtIrf1+ynQxRYMYctkmUo7fU45g==', 1795936675854, 1795936676310, NULL, 92, 'a5351c17a4227371', 93);
INSERT INTO public.credentials VALUES (8, '$7$101$7oSo7tPE8H9318dg$zalHuTHl+2qnD5I3Me3IOyDCmt7Ta5g+wMOUfiYaLyXqnBxTyvhcmh3bR/Yb1quTfSEFs0C1xjDWwTo78jj0Iw==', 1795936703371, 1795936704317, NULL, 104, 'b8ea9d0bd53120ab', 107);
INSERT INTO public.credentials VALUES (9, '$7$101$Bb8INFWrTJBV14Gv$dpcacVyApYSMMXri8Jxktu/EFrHdN4Bd5XG/8HnMTq9Aijy9pBmLQMxJVZiLSlokdSG3zZ6+vR/DNChBaHn5Hw==', 1795936716778, NULL, NULL, 109, '71497ce44d4f7a9f', 110);
INSERT INTO public.credentials VALUES (10, '$7$101$7wPHlxX7/YhKqy/O$LXKy+QN4KxK5eBSKYZzvcy3YPm1l13K3/b2FVjEuKo2o4gjjDtU7zT9pCViBISdCYRQ+yLsVBmF35m2MyqBM9Q==', 1795936740756, 1795936759305, NULL, 111, 'b564a2f160b73038', 112);
INSERT INTO public.credentials VALUES (11, '$7$101$OVp06hRyCAyPGgoi$EK2II3RoYVIGSnR4cMjWHUmkXK2nI0kgcbtkmluSM1aWpZzqTMH1rYHHB9qx/7cWc28+T3pTRuOKaJyEoTLGvA==', 1795936755254, 1795936759305, NULL, 113, '41a470dedfddf603', 114);
INSERT INTO public.credentials VALUES (12, '$7$101$gRzbSsKPiQ0/Up2v$Zf0w/Xx+G/Djl+a4AUgzqkHn0YJyWq92LmeVMl2DGHVqF6syyQLHSREcvwe87ze849M5HQdoCWk7L1G9rgl7RQ==', 1795936767578, NULL, NULL, 119, 'b997a83b2e1f90d9', 120);
INSERT INTO public.credentials VALUES (14, '$7$101$oyvWD9bfsvlKw+WO$nBwnc0RYpXBApbzVwqmcW1x9I24EPg12c7EODonug2GqdtOdqbibemsww1XWBRtnhKZezyFQSmQBQMTgwgvmig==', 1795936804853, NULL, NULL, 123, '6237ba68d7022ad2', 124);
INSERT INTO public.credentials VALUES (15, '$7$101$bwGqyb4VSh1UvJv0$cXpLcmvZnve6zqzTn6DUGUF5VG1ol4+skhExQvtU1rydKvNAGs3O9MgNI+aN6cHFHwTcA0b4YKIaATXYgIOnig==', 1795936816068, NULL, NULL, 125, '39be02674abd48d5', 126);
INSERT INTO public.credentials VALUES (16, '$7$101$2Txp5AQEGEt1niLd$vHMQbWIQRIlwsM8M28ZPIdz6h9QF2Z52/rOycic8JYe3HG0m8KdPFx2jpSxRWxlirQifX+nn2ZMIZ9Jnta/i3w==', 1795936943173, NULL, NULL, 131, NULL, NULL);
INSERT INTO public.dead_letters VALUES (1, 1795936666594, 'not_json', 'JSON is malformed: invalid character (byte 4).', 'mooring/acme/sensor-1/telemetry', 'acme', 6, 7, '\x6e6f204a534f4e');
INSERT INTO public.dead_letters VALUES (2, 1795936848996, 'unknown_device', 'There is no device ghost of the dialect pulse in the tenant acme.', 'pulse/acme/ghost/telemetry', 'acme', NULL, 18, '\x7b2274656d7065726174757265223a20317d');
INSERT INTO public.device_groups VALUES (3, 'cellar');
INSERT INTO public.device_metrics VALUES (2, 3);
INSERT INTO public.device_metrics VALUES (2, 4);
INSERT INTO public.device_metrics VALUES (2, 12);
INSERT INTO public.device_metrics VALUES (2, 16);
INSERT INTO public.device_metrics VALUES (3, 13);
INSERT INTO public.device_metrics VALUES (3, 14);
INSERT INTO public.device_metrics VALUES (4, 1);
INSERT INTO public.device_metrics VALUES (4, 6);
INSERT INTO public.device_metrics VALUES (4, 8);
INSERT INTO public.device_metrics VALUES (4, 10);
INSERT INTO public.device_metrics VALUES (4, 11);
INSERT INTO public.device_metrics VALUES (4, 13);
INSERT INTO public.device_metrics VALUES (5, 5);
INSERT INTO public.device_metrics VALUES (5, 7);
INSERT INTO public.device_metrics VALUES (5, 8);
INSERT INTO public.device_metrics VALUES (5, 9);
INSERT INTO public.device_metrics VALUES (5, 13);
INSERT INTO public.device_metrics VALUES (5, 15);
INSERT INTO public.device_metrics VALUES (6, 2);
INSERT INTO public.device_metrics VALUES (6, 13);
INSERT INTO public.device_state VALUES (1, 1795936648990, true, 1795936648936, '1.4.0', '{"rssi":-61,"uptime":3600}', 1795936648936, false, 1795936648000, '127.0.0.1');
INSERT INTO public.device_state VALUES (2, 1795936651871, NULL, NULL, NULL, NULL, NULL, false, 1795936651000, '127.0.0.1');
INSERT INTO public.device_state VALUES (3, 1795936655289, true, 1795936655066, '1.4.0', '{"uptime":3600}', 1795936655104, false, 1795936655000, '127.0.0.1');
INSERT INTO public.device_state VALUES (4, 1795936658451, false, 1795936658403, '1.4.0', '{"uptime":7200,"battery_level":88,"signal_strength":-52,"status":"offline","device_type":"boiler"}', 1795936658451, false, 1795936658000, '127.0.0.1');
INSERT INTO public.device_state VALUES (5, 1795936662525, true, 1795936662446, 'v2.0.3', '{"signalStrength":-58,"batteryLevel":100,"uptime":3660,"freeMemory":60800,"wifiSignal":-59}', 1795936662525, false, 1795936662000, '127.0.0.1');
INSERT INTO public.device_state VALUES (6, 1795936666594, true, 1795936666244, '1.4.0', '{"signal":-60,"uptime":3600}', 1795936666254, false, 1795936666000, '127.0.0.1');
INSERT INTO public.device_state VALUES (7, 1795936676063, NULL, NULL, NULL, NULL, NULL, false, 1795936676000, '127.0.0.1');
INSERT INTO public.device_state VALUES (8, 1795936703134, NULL, NULL, NULL, NULL, NULL, false, 1795936705000, '127.0.0.1');
INSERT INTO public.device_state VALUES (10, NULL, NULL, NULL, NULL, NULL, NULL, false, 1795936758000, '127.0.0.1');
INSERT INTO public.device_state VALUES (11, NULL, NULL, NULL, NULL, NULL, NULL, false, 1795936758000, '127.0.0.1');
INSERT INTO public.devices VALUES (1, 'acme', 'trap-1', 'mousetrap/acme', '', 'mousetrap', 'AA:BB:CC:00:00:01', 'aabbcc000001', 'AA:BB:CC:00:00:01', 'trap-1', true, 1795936603390);
INSERT INTO public.devices VALUES (2, 'acme', 'car-1', 'drivesafe', '', 'drivesafe', NULL, NULL, 'car-1', 'car-1', true, 1795936613169);
INSERT INTO public.devices VALUES (3, 'acme', 'pump-1', 'pulse/acme', 'Pump in the cellar', 'pulse', NULL, NULL, 'device:acme:pump-1', 'acme:pump-1', true, 1795936623601);
INSERT INTO public.devices VALUES (4, 'acme', 'boiler-1', 'iotflow', '', 'iotflow', NULL, NULL, 'boiler-1', 'boiler-1', false, 1795936631783);
INSERT INTO public.devices VALUES (5, 'acme', 'plug-1', 'smarthome/acme', '', 'smarthome', NULL, NULL, 'plug-1', 'plug-1', true, 1795936638559);
INSERT INTO public.devices VALUES (6, 'acme', 'sensor-1', 'mooring/acme', '', 'mooring', NULL, NULL, 'acme/sensor-1', 'acme:sensor-1', true, 1795936644334);
INSERT INTO public.devices VALUES (7, 'acme', 'aabbcc000002', 'mousetrap/acme', 'Attic', 'mousetrap', 'AA:BB:CC:00:00:02', 'aabbcc000002', 'AA:BB:CC:00:00:02', 'aabbcc000002', true, 1795936675854);
INSERT INTO public.devices VALUES (8, 'acme', 'pump-2', 'pulse/acme', '', 'pulse', NULL, NULL, 'device:acme:pump-2', 'acme:pump-2', true, 1795936688206);
INSERT INTO public.devices VALUES (9, 'acme', 'pump-3', 'pulse/acme', '', 'pulse', NULL, NULL, 'device:acme:pump-3', 'acme:pump-3', true, 1795936716778);
INSERT INTO public.devices VALUES (10, 'acme', 'pump-4', 'pulse/acme', '', 'pulse', NULL, NULL, 'device:acme:pump-4', 'acme:pump-4', true, 1795936740756);
INSERT INTO public.devices VALUES (11, 'acme', 'car-4', 'drivesafe', '', 'drivesafe', NULL, NULL, 'car-4', 'car-4', true, 1795936755254);
INSERT INTO public.devices VALUES (12, 'acme', 'pump-5', 'pulse/acme', '', 'pulse', NULL, NULL, 'device:acme:pump-5', 'acme:pump-5', false, 1795936767578);
INSERT INTO public.devices VALUES (14, 'acme', 'car-2', 'drivesafe', '', 'drivesafe', NULL, NULL, 'car-2', 'car-2', true, 1795936804853);
INSERT INTO public.devices VALUES (15, 'acme', 'car-3', 'drivesafe', '', 'drivesafe', NULL, NULL, 'car-3', 'car-3', true, 1795936816068);
INSERT INTO public.devices VALUES (16, 'acme', 'late-1', 'pulse/acme', '', 'pulse', NULL, NULL, 'device:acme:late-1', 'acme:late-1', true, 1795936943173);
INSERT INTO public.former_verifiers VALUES (1, 8, 'device:acme:pump-2', 'acme', '$7$101$i1l+dE457urS8btd$ktURvL4MHLr7/7U3t+ujm9QraM9It1CRXj8jdQpUgMdmB1dwml8ZB6uO/kNewHPzZSWr92S8U2FlKzqBTKRg8A==', false, 1798528704402);
INSERT INTO public.former_verifiers VALUES (2, 13, 'device:acme:pump-6', 'acme', '$7$101$sxctn0C8whoDyKei$nCjUy0Oey6X8Q3B6i8Az8F5r7GKT5M9+kpVXi1o5/Jkc18xDEH5sn9QRgx54Pkr7AToYN8Bee3qchWQQPmyf6g==', true, 1798528793000);
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 1, '\x0100e268b0f7');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 2, '\x02006fde991a');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 3, '\x030036e42178');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 4, '\x0400edc8a48c');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 5, '\x050083676001');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 6, '\x0600fc70bab6');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 7, '\x070084f218a5');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 8, '\x0800368fdf02');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 9, '\x09000a72fa35');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 10, '\x0a00e17023b6');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 11, '\x0b003e3ab697');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 12, '\x0c00ec5d5671');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 13, '\x0d006fde991a');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 14, '\x0e0027636019');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 15, '\x0f0096cce1f9');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 16, '\x100051a23337');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 17, '\x110044806829');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 18, '\x120061df9d5d');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 19, '\x1300b1c639f9');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 20, '\x14001e9416e2');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 21, '\x15006cb9cacd');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 22, '\x1600c99a8e1e');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 23, '\x1700bab7e928');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 24, '\x18004d2882f8');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 25, '\x1900b707fa86');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 26, '\x1a008e4f7fc1');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 27, '\x1b00a205fcdf');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 28, '\x1c003301f609');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 29, '\x1d0020bdb363');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 30, '\x1e00ce16df2b');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 31, '\x1f00e8d41210');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 32, '\x20007779143a');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 33, '\x2100080e6b94');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 34, '\x220073624a07');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 35, '\x23004a334873');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 36, '\x2400a06d5002');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 37, '\x250043bfa6a3');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 38, '\x260085dd063a');
INSERT INTO public.ingest_ledger VALUES ('mooring-ingest', 39, '\x270086e89ee4');
INSERT INTO public.latest VALUES (1, 37, 1767225600000, 1795936648936, 0, '{"online":true,"firmwareVersion":"1.4.0","rssi":-61,"uptime":3600,"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.latest VALUES (1, 38, 1767225600000, 1795936648954, 0, '{"id":"r7-12","version":"1.5.0","state":"downloading","percent":40,"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.latest VALUES (1, 39, 1767225600000, 1795936648972, 0, '{"type":"trap_triggered","severity":"critical","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.latest VALUES (1, 40, 1767225600000, 1795936648990, 0, '{"type":"trap_triggered","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.latest VALUES (2, 1, 1767225600000, 1795936651871, 0, '{"device_id":"car-12","timestamp":"2026-01-01T00:00:00Z","seq":41,"drowsiness_score":0.12,"eyes_closed_ms":180,"yawns":1,"speed_kmh":62.5}');
INSERT INTO public.latest VALUES (3, 45, 1767225600000, 1795936655039, 0, '{"device_id":"pump-3","timestamp":"2026-01-01T00:00:00Z","seq":41,"temperature":41.5,"vibration_mm_s":1.8}');
INSERT INTO public.latest VALUES (3, 46, 1767225600000, 1795936655066, 0, '{"status":"online","firmware_version":"1.4.0","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.latest VALUES (3, 47, 1767225600000, 1795936655104, 0, '{"uptime":3600,"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.latest VALUES (3, 48, 1767225600000, 1795936655122, 0, '{"alert":"bearing_hot","severity":"critical","temperature":92.0,"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.latest VALUES (3, 49, 1767225600000, 1795936655166, 0, '{"alert":"bearing_hot","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.latest VALUES (3, 51, 1767225600000, 1795936655201, 0, '{"command_id":"c-1001","status":"done","result":{"took_ms":120},"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.latest VALUES (3, 53, 1767225600000, 1795936655246, 0, '{"version":3,"config":{"interval_seconds":60},"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.latest VALUES (3, 55, 1767225600000, 1795936655289, 0, '{"id":"r7-12","version":"1.5.0","state":"downloading","percent":40,"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.latest VALUES (4, 3, 1767225600000, 1795936658265, 0, '{"temperature":19.5,"humidity":51.0,"pressure":1009.1,"timestamp":"2026-01-01T00:00:00Z","device_id":"boiler-2"}');
INSERT INTO public.latest VALUES (4, 4, 1767225600000, 1795936658279, 0, '{"cpu_percent":12.5,"free_memory":40312,"queued":0,"timestamp":"2026-01-01T00:00:00Z","device_id":"boiler-2"}');
INSERT INTO public.latest VALUES (4, 5, 1767225600000, 1795936658313, 0, '{"event":"valve_stuck","severity":"warning","position":40,"timestamp":"2026-01-01T00:00:00Z","device_id":"boiler-2"}');
INSERT INTO public.latest VALUES (4, 9, 1767225600000, 1795936658344, 0, '{"status":"online","uptime":7200,"battery_level":88,"signal_strength":-52,"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.latest VALUES (4, 10, 1767225600000, 1795936658369, 0, '{"status":"online","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.latest VALUES (4, 11, 1767225600000, 1795936658403, 0, '{"status":"offline","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.latest VALUES (4, 15, 1767225600000, 1795936658451, 0, '{"device_id":"boiler-2","device_type":"boiler","firmware_version":"1.4.0","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.latest VALUES (5, 56, 1767225600000, 1795936662312, 0, '{"timestamp":"2026-01-01T00:00:00.000Z","deviceId":"plug-7","sensors":{"powerW":38.2,"voltageV":229.8,"temperature":21.4,"humidity":48.0,"gasPpm":120,"flame":false},"metadata":{"firmwareVersion":"v2.0.3","signalStrength":-58,"batteryLevel":100}}');
INSERT INTO public.latest VALUES (5, 57, 1767225600000, 1795936662446, 0, '{"timestamp":"2026-01-01T00:00:00.000Z","deviceId":"plug-7","online":true,"status":{"uptime":3600,"freeMemory":61000,"wifiSignal":-58,"batteryLevel":100,"firmwareVersion":"v2.0.3"},"errors":[]}');
INSERT INTO public.latest VALUES (5, 58, 1767225600000, 1795936662525, 0, '{"timestamp":"2026-01-01T00:00:00.000Z","deviceId":"plug-7","uptime":3660,"freeMemory":60800,"wifiSignal":-59}');
INSERT INTO public.latest VALUES (6, 23, 1795936666572, 1795936666581, 0, '{"ts": 1795936666572, "seq": 104, "values": {"temperature": 104}}');
INSERT INTO public.latest VALUES (6, 24, 1767225600000, 1795936666227, 0, '{"ts":1767225600000,"seq":42,"event":"door_opened","values":{"count":3}}');
INSERT INTO public.latest VALUES (6, 25, 1767225600000, 1795936666244, 0, '{"ts":1767225600000,"online":true,"meta":{"firmware":"1.4.0","uptime":12,"signal":-61}}');
INSERT INTO public.latest VALUES (6, 26, 1767225600000, 1795936666254, 0, '{"ts":1767225600000,"meta":{"uptime":3600,"signal":-60}}');
INSERT INTO public.latest VALUES (6, 27, 1767225600000, 1795936666280, 0, '{"ts":1767225600000,"seq":43,"alert":"battery_low","severity":"warning","message":"Battery at 9 %.","values":{"battery":9}}');
INSERT INTO public.latest VALUES (6, 28, 1767225600000, 1795936666313, 0, '{"ts":1767225600000,"seq":44,"alert":"battery_low"}');
INSERT INTO public.latest VALUES (6, 30, 1767225600000, 1795936666362, 0, '{"ts":1767225600000,"seq":45,"id":"0f8c2d","ok":true,"result":{"took_ms":120}}');
INSERT INTO public.latest VALUES (6, 32, 1767225600000, 1795936666422, 0, '{"ts":1767225600000,"seq":46,"version":3,"config":{"interval_s":30}}');
INSERT INTO public.latest VALUES (6, 34, 1767225600000, 1795936666499, 0, '{"ts":1767225600000,"seq":47,"id":"r7-12","version":"1.5.0","state":"downloading","percent":40}');
INSERT INTO public.latest VALUES (7, 37, 1795936676063, 1795936676063, 1, '{}');
INSERT INTO public.latest VALUES (8, 51, 1795936703134, 1795936703134, 1, '{"command_id": "dc39cc991a0e7bf8", "status": "done"}');
INSERT INTO public.messages_2026_11_23 VALUES (33, 6, 1795936666508, 1795936666526, 100, 4980968806694101210, 23, 0, '{"ts": 1795936666508, "seq": 100, "values": {"temperature": 100}}');
INSERT INTO public.messages_2026_11_23 VALUES (34, 6, 1795936666543, 1795936666565, 101, 2957133320333536752, 23, 0, '{"ts": 1795936666543, "seq": 101, "values": {"temperature": 101}}');
INSERT INTO public.messages_2026_11_23 VALUES (35, 6, 1795936666572, 1795936666581, 104, 6586753869737964109, 23, 0, '{"ts": 1795936666572, "seq": 104, "values": {"temperature": 104}}');
INSERT INTO public.messages_2026_11_23 VALUES (36, 7, 1795936676063, 1795936676063, NULL, 1856279025429319886, 37, 1, '{}');
INSERT INTO public.messages_2026_11_23 VALUES (37, 8, 1795936703134, 1795936703134, NULL, 1856279025429319887, 51, 1, '{"command_id": "dc39cc991a0e7bf8", "status": "done"}');
INSERT INTO public.messages_before VALUES (1, 1, 1767225600000, 1795936648936, NULL, 1307016827120712921, 37, 0, '{"online":true,"firmwareVersion":"1.4.0","rssi":-61,"uptime":3600,"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.messages_before VALUES (2, 1, 1767225600000, 1795936648954, NULL, 5352049499193729538, 38, 0, '{"id":"r7-12","version":"1.5.0","state":"downloading","percent":40,"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.messages_before VALUES (3, 1, 1767225600000, 1795936648972, NULL, 3302951505033593760, 39, 0, '{"type":"trap_triggered","severity":"critical","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.messages_before VALUES (4, 1, 1767225600000, 1795936648990, NULL, 3211882188366780698, 40, 0, '{"type":"trap_triggered","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.messages_before VALUES (5, 2, 1767225600000, 1795936651871, 41, 2519069118296672048, 1, 0, '{"device_id":"car-12","timestamp":"2026-01-01T00:00:00Z","seq":41,"drowsiness_score":0.12,"eyes_closed_ms":180,"yawns":1,"speed_kmh":62.5}');
INSERT INTO public.messages_before VALUES (6, 3, 1767225600000, 1795936655039, 41, 3014042832418507151, 45, 0, '{"device_id":"pump-3","timestamp":"2026-01-01T00:00:00Z","seq":41,"temperature":41.5,"vibration_mm_s":1.8}');
INSERT INTO public.messages_before VALUES (7, 3, 1767225600000, 1795936655066, NULL, 7231603892841611466, 46, 0, '{"status":"online","firmware_version":"1.4.0","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.messages_before VALUES (8, 3, 1767225600000, 1795936655104, NULL, 7603643175829369259, 47, 0, '{"uptime":3600,"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.messages_before VALUES (9, 3, 1767225600000, 1795936655122, NULL, 4290183356067985267, 48, 0, '{"alert":"bearing_hot","severity":"critical","temperature":92.0,"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.messages_before VALUES (10, 3, 1767225600000, 1795936655166, NULL, 5449912354310651622, 49, 0, '{"alert":"bearing_hot","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.messages_before VALUES (11, 3, 1767225600000, 1795936655201, NULL, 6605069559543018182, 51, 0, '{"command_id":"c-1001","status":"done","result":{"took_ms":120},"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.messages_before VALUES (12, 3, 1767225600000, 1795936655246, NULL, 2568126043434067719, 53, 0, '{"version":3,"config":{"interval_seconds":60},"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.messages_before VALUES (13, 3, 1767225600000, 1795936655289, NULL, 2723499642178016106, 55, 0, '{"id":"r7-12","version":"1.5.0","state":"downloading","percent":40,"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.messages_before VALUES (14, 4, 1767225600000, 1795936658265, NULL, 9121669763877028892, 3, 0, '{"temperature":19.5,"humidity":51.0,"pressure":1009.1,"timestamp":"2026-01-01T00:00:00Z","device_id":"boiler-2"}');
INSERT INTO public.messages_before VALUES (15, 4, 1767225600000, 1795936658279, NULL, 8621119120784714780, 4, 0, '{"cpu_percent":12.5,"free_memory":40312,"queued":0,"timestamp":"2026-01-01T00:00:00Z","device_id":"boiler-2"}');
INSERT INTO public.messages_before VALUES (16, 4, 1767225600000, 1795936658313, NULL, 764551920439380281, 5, 0, '{"event":"valve_stuck","severity":"warning","position":40,"timestamp":"2026-01-01T00:00:00Z","device_id":"boiler-2"}');
INSERT INTO public.messages_before VALUES (17, 4, 1767225600000, 1795936658344, NULL, 3111904560802688139, 9, 0, '{"status":"online","uptime":7200,"battery_level":88,"signal_strength":-52,"timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.messages_before VALUES (18, 4, 1767225600000, 1795936658369, NULL, 6614838228219895321, 10, 0, '{"status":"online","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.messages_before VALUES (19, 4, 1767225600000, 1795936658403, NULL, 4298149354701197826, 11, 0, '{"status":"offline","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.messages_before VALUES (20, 4, 1767225600000, 1795936658451, NULL, 5788229926063268823, 15, 0, '{"device_id":"boiler-2","device_type":"boiler","firmware_version":"1.4.0","timestamp":"2026-01-01T00:00:00Z"}');
INSERT INTO public.messages_before VALUES (21, 5, 1767225600000, 1795936662312, NULL, 295437711104516003, 56, 0, '{"timestamp":"2026-01-01T00:00:00.000Z","deviceId":"plug-7","sensors":{"powerW":38.2,"voltageV":229.8,"temperature":21.4,"humidity":48.0,"gasPpm":120,"flame":false},"metadata":{"firmwareVersion":"v2.0.3","signalStrength":-58,"batteryLevel":100}}');
INSERT INTO public.messages_before VALUES (22, 5, 1767225600000, 1795936662446, NULL, 8858323998177905242, 57, 0, '{"timestamp":"2026-01-01T00:00:00.000Z","deviceId":"plug-7","online":true,"status":{"uptime":3600,"freeMemory":61000,"wifiSignal":-58,"batteryLevel":100,"firmwareVersion":"v2.0.3"},"errors":[]}');
INSERT INTO public.messages_before VALUES (23, 5, 1767225600000, 1795936662525, NULL, 8759447716073782156, 58, 0, '{"timestamp":"2026-01-01T00:00:00.000Z","deviceId":"plug-7","uptime":3660,"freeMemory":60800,"wifiSignal":-59}');
INSERT INTO public.messages_before VALUES (24, 6, 1767225600000, 1795936666197, 41, 1931537057709908363, 23, 0, '{"ts":1767225600000,"seq":41,"values":{"temperature":21.5,"door":false},"meta":{"firmware":"1.4.0","signal":-61}}');
INSERT INTO public.messages_before VALUES (25, 6, 1767225600000, 1795936666227, 42, 9083277720528247974, 24, 0, '{"ts":1767225600000,"seq":42,"event":"door_opened","values":{"count":3}}');
INSERT INTO public.messages_before VALUES (26, 6, 1767225600000, 1795936666244, NULL, 1472241937986678211, 25, 0, '{"ts":1767225600000,"online":true,"meta":{"firmware":"1.4.0","uptime":12,"signal":-61}}');
INSERT INTO public.messages_before VALUES (27, 6, 1767225600000, 1795936666254, NULL, 8467200445754173111, 26, 0, '{"ts":1767225600000,"meta":{"uptime":3600,"signal":-60}}');
INSERT INTO public.messages_before VALUES (28, 6, 1767225600000, 1795936666280, 43, 5530365872729658461, 27, 0, '{"ts":1767225600000,"seq":43,"alert":"battery_low","severity":"warning","message":"Battery at 9 %.","values":{"battery":9}}');
INSERT INTO public.messages_before VALUES (29, 6, 1767225600000, 1795936666313, 44, 7790871993028925346, 28, 0, '{"ts":1767225600000,"seq":44,"alert":"battery_low"}');
INSERT INTO public.messages_before VALUES (30, 6, 1767225600000, 1795936666362, 45, 2651505964979165040, 30, 0, '{"ts":1767225600000,"seq":45,"id":"0f8c2d","ok":true,"result":{"took_ms":120}}');
INSERT INTO public.messages_before VALUES (31, 6, 1767225600000, 1795936666422, 46, 4958287831020315462, 32, 0, '{"ts":1767225600000,"seq":46,"version":3,"config":{"interval_s":30}}');
INSERT INTO public.messages_before VALUES (32, 6, 1767225600000, 1795936666499, 47, 3188883624279839909, 34, 0, '{"ts":1767225600000,"seq":47,"id":"r7-12","version":"1.5.0","state":"downloading","percent":40}');
INSERT INTO public.metrics VALUES (1, 'cpu_percent');
INSERT INTO public.metrics VALUES (2, 'door');
INSERT INTO public.metrics VALUES (3, 'drowsiness_score');
INSERT INTO public.metrics VALUES (4, 'eyes_closed_ms');
INSERT INTO public.metrics VALUES (5, 'flame');
INSERT INTO public.metrics VALUES (6, 'free_memory');
INSERT INTO public.metrics VALUES (7, 'gasPpm');
INSERT INTO public.metrics VALUES (8, 'humidity');
INSERT INTO public.metrics VALUES (9, 'powerW');
INSERT INTO public.metrics VALUES (10, 'pressure');
INSERT INTO public.metrics VALUES (11, 'queued');
INSERT INTO public.metrics VALUES (12, 'speed_kmh');
INSERT INTO public.metrics VALUES (13, 'temperature');
INSERT INTO public.metrics VALUES (14, 'vibration_mm_s');
INSERT INTO public.metrics VALUES (15, 'voltageV');
INSERT INTO public.metrics VALUES (16, 'yawns');
INSERT INTO public.outbox VALUES (21, 'put', 'device:acme:late-1', '\x674141414141427243394b764433665a4330703852486f4b76784c426b3546437952585a4c534f4c6c4a7772446b30737668494c417a37535570587759417857394765475f675f5863744538526367617a594966785238547267652d7974645a6337344931336f706c63574f6d6f69474d414e79722d673d', 1795936943211, 1795936943211, 0, NULL);
INSERT INTO public.outbox VALUES (22, 'put', 'boiler-1', NULL, 1795936947246, 1795936947246, 0, NULL);
INSERT INTO public.rollup_open VALUES (6, 23, 1, 29932260);
INSERT INTO public.rollup_state VALUES (1, 9, 0, 0, -1);
INSERT INTO public.rollups VALUES (2, 1, 0, 29453760, '\x95009203cb3fbeb851eb851eb89204ccb4921001920ccb404f400000000000');
INSERT INTO public.rollups VALUES (2, 1, 1, 29453760, '\x95009203cb3fbeb851eb851eb89204ccb4921001920ccb404f400000000000');
INSERT INTO public.rollups VALUES (2, 1, 2, 29453760, '\x95009203cb3fbeb851eb851eb89204ccb4921001920ccb404f400000000000');
INSERT INTO public.rollups VALUES (3, 45, 0, 29453760, '\x9300920dcb4044c00000000000920ecb3ffccccccccccccd');
INSERT INTO public.rollups VALUES (3, 45, 1, 29453760, '\x9300920dcb4044c00000000000920ecb3ffccccccccccccd');
INSERT INTO public.rollups VALUES (3, 45, 2, 29453760, '\x9300920dcb4044c00000000000920ecb3ffccccccccccccd');
INSERT INTO public.rollups VALUES (4, 3, 0, 29453760, '\x9400920dcb40338000000000009208cb4049800000000000920acb408f88cccccccccd');
INSERT INTO public.rollups VALUES (4, 3, 1, 29453760, '\x9400920dcb40338000000000009208cb4049800000000000920acb408f88cccccccccd');
INSERT INTO public.rollups VALUES (4, 3, 2, 29453760, '\x9400920dcb40338000000000009208cb4049800000000000920acb408f88cccccccccd');
INSERT INTO public.rollups VALUES (4, 4, 0, 29453760, '\x94009201cb40290000000000009206cd9d78920b00');
INSERT INTO public.rollups VALUES (4, 4, 1, 29453760, '\x94009201cb40290000000000009206cd9d78920b00');
INSERT INTO public.rollups VALUES (4, 4, 2, 29453760, '\x94009201cb40290000000000009206cd9d78920b00');
INSERT INTO public.rollups VALUES (5, 56, 0, 29453760, '\x97009209cb404319999999999a920fcb406cb9999999999a920dcb40356666666666669208cb40480000000000009207789205c2');
INSERT INTO public.rollups VALUES (5, 56, 1, 29453760, '\x97009209cb404319999999999a920fcb406cb9999999999a920dcb40356666666666669208cb40480000000000009207789205c2');
INSERT INTO public.rollups VALUES (5, 56, 2, 29453760, '\x97009209cb404319999999999a920fcb406cb9999999999a920dcb40356666666666669208cb40480000000000009207789205c2');
INSERT INTO public.rollups VALUES (6, 23, 0, 29453760, '\x9300920dcb40358000000000009202c2');
INSERT INTO public.rollups VALUES (6, 23, 0, 29932277, '\x92cdb5ec960d036468cd013168');
INSERT INTO public.rollups VALUES (6, 23, 1, 29453760, '\x9300920dcb40358000000000009202c2');
INSERT INTO public.rollups VALUES (6, 23, 2, 29453760, '\x9300920dcb40358000000000009202c2');
INSERT INTO public.rotations VALUES ('c4bf03aaa5cffe5f', 9, 'prepared', 'cli:root', 'local', '', 1795936727704, true, '\x674141414141427243394858736c30646348636f6c5639654234464e69664b6645583963397a6530455052795a6b6669437162774d7875566c794b2d6f3870654464664c6f6f6d74674c4a436665656b5368396f6d6e7561386546726c773771476f567250664f637254412d4a567347337141704e63593d', '$7$101$Bb8INFWrTJBV14Gv$dpcacVyApYSMMXri8Jxktu/EFrHdN4Bd5XG/8HnMTq9Aijy9pBmLQMxJVZiLSlokdSG3zZ6+vR/DNChBaHn5Hw==', '$7$101$JbtO0tFW3OAbV5O8$tpd5w8CDe6F/CdLGH6ugRfcPh668gALqg478atMF7uDWF7fZjQUdWIn+H/5G47ysUyZVnqdBjKNql55s1CDucw==', 1795936716778, 0, NULL, NULL, NULL, 0, NULL, NULL, '');
INSERT INTO public.rotations VALUES ('dc39cc991a0e7bf8', 8, 'settled', 'cli:root', 'local', 'yearly', 1795936699431, true, NULL, NULL, NULL, 1795936688206, 1, 1795936699951, 1795936699951, 99, 1, 1795936704326, 1795936704402, 'the device has used the new password');
INSERT INTO public.sequences VALUES (2, 0, '[[41,41]]', 0, 1795936651872, 1795936722284);
INSERT INTO public.sequences VALUES (3, 0, '[[41,41]]', 0, 1795936655039, 1795936722284);
INSERT INTO public.sequences VALUES (6, 0, '[[41,47],[100,101],[104,104]]', 0, 1795936666197, 1795936737302);
INSERT INTO public.strangers VALUES ('pulse', 'acme', 'ghost', 1795936848996, 1795936848996, 1, 'pulse/acme/ghost/telemetry');
INSERT INTO public.tenants VALUES ('acme', 1795936603395);
INSERT INTO public.users VALUES (1, 'admin', '$argon2id$v=19$m=65536,t=3,p=4$JqoknhbKWrduFOkGw37cxg$hCdVlLCr2orGiXvfIyOACOOOMCjxYz1ssA0n2eqeuw4', 'admin', NULL, false, 1795936583438);
INSERT INTO public.users VALUES (2, 'olga', '$argon2id$v=19$m=65536,t=3,p=4$bUbC2em/whUFbO9D+U7cEA$YkUjB5VRBu1yVdAm64xVct2nEdEtIKh0mm2TEsc1hhY', 'operator', NULL, false, 1795936833637);
INSERT INTO public.versions VALUES ('devices', 19);
SELECT pg_catalog.setval('public.api_keys_id_seq', 1, true);
SELECT pg_catalog.setval('public.audit_id_seq', 33, true);
SELECT pg_catalog.setval('public.broker_events_id_seq', 131, true);
SELECT pg_catalog.setval('public.broker_requests_id_seq', 1, false);
SELECT pg_catalog.setval('public.certificates_id_seq', 2, true);
SELECT pg_catalog.setval('public.channels_id_seq', 60, true);
SELECT pg_catalog.setval('public.claim_codes_id_seq', 2, true);
SELECT pg_catalog.setval('public.dead_letters_id_seq', 2, true);
SELECT pg_catalog.setval('public.devices_id_seq', 16, true);
SELECT pg_catalog.setval('public.former_verifiers_id_seq', 2, true);
SELECT pg_catalog.setval('public.messages_id_seq', 37, true);
SELECT pg_catalog.setval('public.metrics_id_seq', 16, true);
SELECT pg_catalog.setval('public.outbox_id_seq', 22, true);
SELECT pg_catalog.setval('public.users_id_seq', 2, true);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT pk_api_keys PRIMARY KEY (id);
ALTER TABLE ONLY public.audit
    ADD CONSTRAINT pk_audit PRIMARY KEY (id);
ALTER TABLE ONLY public.broker_events
    ADD CONSTRAINT pk_broker_events PRIMARY KEY (id);
ALTER TABLE ONLY public.broker_requests
    ADD CONSTRAINT pk_broker_requests PRIMARY KEY (id);
ALTER TABLE ONLY public.broker_users
    ADD CONSTRAINT pk_broker_users PRIMARY KEY (username);
ALTER TABLE ONLY public.certificates
    ADD CONSTRAINT pk_certificates PRIMARY KEY (id);
ALTER TABLE ONLY public.channels
    ADD CONSTRAINT pk_channels PRIMARY KEY (id);
ALTER TABLE ONLY public.claim_codes
    ADD CONSTRAINT pk_claim_codes PRIMARY KEY (id);
ALTER TABLE ONLY public.counters
    ADD CONSTRAINT pk_counters PRIMARY KEY (name);
ALTER TABLE ONLY public.credentials
    ADD CONSTRAINT pk_credentials PRIMARY KEY (device_id);
ALTER TABLE ONLY public.dead_letters
    ADD CONSTRAINT pk_dead_letters PRIMARY KEY (id);
ALTER TABLE ONLY public.device_groups
    ADD CONSTRAINT pk_device_groups PRIMARY KEY (device_id, group_name);
ALTER TABLE ONLY public.device_metrics
    ADD CONSTRAINT pk_device_metrics PRIMARY KEY (device_id, metric_id);
ALTER TABLE ONLY public.device_state
    ADD CONSTRAINT pk_device_state PRIMARY KEY (device_id);
ALTER TABLE ONLY public.devices
    ADD CONSTRAINT pk_devices PRIMARY KEY (id);
ALTER TABLE ONLY public.former_verifiers
    ADD CONSTRAINT pk_former_verifiers PRIMARY KEY (id);
ALTER TABLE ONLY public.ingest_attempts
    ADD CONSTRAINT pk_ingest_attempts PRIMARY KEY (client_id);
ALTER TABLE ONLY public.ingest_ledger
    ADD CONSTRAINT pk_ingest_ledger PRIMARY KEY (client_id, batch);
ALTER TABLE ONLY public.latest
    ADD CONSTRAINT pk_latest PRIMARY KEY (device_id, channel_id);
ALTER TABLE ONLY public.leases
    ADD CONSTRAINT pk_leases PRIMARY KEY (name);
ALTER TABLE ONLY public.message_numbers
    ADD CONSTRAINT pk_message_numbers PRIMARY KEY (device_id, seq, fingerprint);
ALTER TABLE ONLY public.metrics
    ADD CONSTRAINT pk_metrics PRIMARY KEY (id);
ALTER TABLE ONLY public.metrics_refused
    ADD CONSTRAINT pk_metrics_refused PRIMARY KEY (device_id);
ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT pk_outbox PRIMARY KEY (id);
ALTER TABLE ONLY public.processes
    ADD CONSTRAINT pk_processes PRIMARY KEY (name);
ALTER TABLE ONLY public.retention
    ADD CONSTRAINT pk_retention PRIMARY KEY (tenant, kind);
ALTER TABLE ONLY public.retention_progress
    ADD CONSTRAINT pk_retention_progress PRIMARY KEY (days);
ALTER TABLE ONLY public.rollup_open
    ADD CONSTRAINT pk_rollup_open PRIMARY KEY (device_id, channel_id, level, bucket);
ALTER TABLE ONLY public.rollup_queue
    ADD CONSTRAINT pk_rollup_queue PRIMARY KEY (first_id);
ALTER TABLE ONLY public.rollup_state
    ADD CONSTRAINT pk_rollup_state PRIMARY KEY (id);
ALTER TABLE ONLY public.rollups
    ADD CONSTRAINT pk_rollups PRIMARY KEY (device_id, channel_id, level, bucket);
ALTER TABLE ONLY public.rotations
    ADD CONSTRAINT pk_rotations PRIMARY KEY (id);
ALTER TABLE ONLY public.sequences
    ADD CONSTRAINT pk_sequences PRIMARY KEY (device_id);
ALTER TABLE ONLY public.sightings
    ADD CONSTRAINT pk_sightings PRIMARY KEY (username);
ALTER TABLE ONLY public.strangers
    ADD CONSTRAINT pk_strangers PRIMARY KEY (dialect, tenant, name);
ALTER TABLE ONLY public.tenants
    ADD CONSTRAINT pk_tenants PRIMARY KEY (name);
ALTER TABLE ONLY public.throttles
    ADD CONSTRAINT pk_throttles PRIMARY KEY (scope, address, minute);
ALTER TABLE ONLY public.users
    ADD CONSTRAINT pk_users PRIMARY KEY (id);
ALTER TABLE ONLY public.versions
    ADD CONSTRAINT pk_versions PRIMARY KEY (name);
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT uq_api_keys_prefix UNIQUE (prefix);
ALTER TABLE ONLY public.certificates
    ADD CONSTRAINT uq_certificates_serial UNIQUE (serial);
ALTER TABLE ONLY public.channels
    ADD CONSTRAINT uq_channels_dialect_name UNIQUE (dialect, name);
ALTER TABLE ONLY public.claim_codes
    ADD CONSTRAINT uq_claim_codes_digest UNIQUE (digest);
ALTER TABLE ONLY public.devices
    ADD CONSTRAINT uq_devices_mac_key_dialect_tenant UNIQUE (mac_key, dialect, tenant);
ALTER TABLE ONLY public.devices
    ADD CONSTRAINT uq_devices_scope_name UNIQUE (scope, name);
ALTER TABLE ONLY public.devices
    ADD CONSTRAINT uq_devices_tenant_name UNIQUE (tenant, name);
ALTER TABLE ONLY public.devices
    ADD CONSTRAINT uq_devices_username UNIQUE (username);
ALTER TABLE ONLY public.metrics
    ADD CONSTRAINT uq_metrics_name UNIQUE (name);
ALTER TABLE ONLY public.users
    ADD CONSTRAINT uq_users_name UNIQUE (name);
CREATE INDEX ix_broker_events_username_id ON public.broker_events USING btree (username, id);
CREATE INDEX ix_certificates_unenforced ON public.certificates USING btree (revoked_at) WHERE ((revoked_at IS NOT NULL) AND (enforced_at IS NULL));
CREATE INDEX ix_certificates_username ON public.certificates USING btree (username);
CREATE INDEX ix_credentials_unproved ON public.credentials USING btree (mark) WHERE (proved_at IS NULL);
CREATE INDEX ix_former_verifiers_until ON public.former_verifiers USING btree (until);
CREATE INDEX ix_former_verifiers_username ON public.former_verifiers USING btree (username);
CREATE INDEX ix_message_numbers_ts ON public.message_numbers USING brin (ts);
CREATE INDEX ix_messages_id ON ONLY public.messages USING brin (id) WITH (pages_per_range='32');
CREATE INDEX ix_outbox_username ON public.outbox USING btree (username);
CREATE INDEX ix_rotations_device_id_created_at ON public.rotations USING btree (device_id, created_at);
CREATE INDEX ix_sequences_gap_since ON public.sequences USING btree (gap_since);
CREATE UNIQUE INDEX uq_messages_once ON ONLY public.messages USING btree (device_id, ts, fingerprint);
CREATE UNIQUE INDEX messages_2026_11_23_device_id_ts_fingerprint_idx ON public.messages_2026_11_23 USING btree (device_id, ts, fingerprint);
CREATE INDEX messages_2026_11_23_id_idx ON public.messages_2026_11_23 USING brin (id) WITH (pages_per_range='32');
CREATE UNIQUE INDEX messages_2026_11_30_device_id_ts_fingerprint_idx ON public.messages_2026_11_30 USING btree (device_id, ts, fingerprint);
CREATE INDEX messages_2026_11_30_id_idx ON public.messages_2026_11_30 USING brin (id) WITH (pages_per_range='32');
CREATE UNIQUE INDEX messages_2026_12_07_device_id_ts_fingerprint_idx ON public.messages_2026_12_07 USING btree (device_id, ts, fingerprint);
CREATE INDEX messages_2026_12_07_id_idx ON public.messages_2026_12_07 USING brin (id) WITH (pages_per_range='32');
CREATE UNIQUE INDEX messages_before_device_id_ts_fingerprint_idx ON public.messages_before USING btree (device_id, ts, fingerprint);
CREATE INDEX messages_before_id_idx ON public.messages_before USING brin (id) WITH (pages_per_range='32');
CREATE UNIQUE INDEX uq_rotations_active ON public.rotations USING btree (device_id) WHERE (finished_at IS NULL);
ALTER INDEX public.uq_messages_once ATTACH PARTITION public.messages_2026_11_23_device_id_ts_fingerprint_idx;
ALTER INDEX public.ix_messages_id ATTACH PARTITION public.messages_2026_11_23_id_idx;
ALTER INDEX public.uq_messages_once ATTACH PARTITION public.messages_2026_11_30_device_id_ts_fingerprint_idx;
ALTER INDEX public.ix_messages_id ATTACH PARTITION public.messages_2026_11_30_id_idx;
ALTER INDEX public.uq_messages_once ATTACH PARTITION public.messages_2026_12_07_device_id_ts_fingerprint_idx;
ALTER INDEX public.ix_messages_id ATTACH PARTITION public.messages_2026_12_07_id_idx;
ALTER INDEX public.uq_messages_once ATTACH PARTITION public.messages_before_device_id_ts_fingerprint_idx;
ALTER INDEX public.ix_messages_id ATTACH PARTITION public.messages_before_id_idx;
CREATE TRIGGER messages_forget_numbers AFTER DELETE ON public.messages REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION public.mooring_forget_numbers();
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT fk_api_keys_tenant FOREIGN KEY (tenant) REFERENCES public.tenants(name);
ALTER TABLE ONLY public.claim_codes
    ADD CONSTRAINT fk_claim_codes_tenant FOREIGN KEY (tenant) REFERENCES public.tenants(name);
ALTER TABLE ONLY public.credentials
    ADD CONSTRAINT fk_credentials_device_id FOREIGN KEY (device_id) REFERENCES public.devices(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.device_groups
    ADD CONSTRAINT fk_device_groups_device_id FOREIGN KEY (device_id) REFERENCES public.devices(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.devices
    ADD CONSTRAINT fk_devices_tenant FOREIGN KEY (tenant) REFERENCES public.tenants(name);
ALTER TABLE ONLY public.rotations
    ADD CONSTRAINT fk_rotations_device_id FOREIGN KEY (device_id) REFERENCES public.devices(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.users
    ADD CONSTRAINT fk_users_tenant FOREIGN KEY (tenant) REFERENCES public.tenants(name);
