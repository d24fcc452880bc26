-- Times are Unix milliseconds in UTC. Columns that end in _json hold JSON.
-- +goose Up
CREATE TABLE incidents (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    incident_key     TEXT   NOT NULL,
    customer         TEXT   NOT NULL,
    rule_id          TEXT   NOT NULL,
    alert_name       TEXT   NOT NULL,
    severity         TEXT   NOT NULL,
    identity_json    TEXT   NOT NULL,
    labels_json      TEXT   NOT NULL,
    annotations_json TEXT   NOT NULL,
    source           TEXT   NOT NULL,
    contract_row     TEXT   NOT NULL,
    contract_literal TEXT   NOT NULL,
    state            TEXT   NOT NULL CHECK (state IN ('firing', 'no_data', 'resolved', 'ended')),
    value            DOUBLE PRECISION,
    run              BIGINT NOT NULL,
    reason           TEXT   NOT NULL,
    samples_json     TEXT   NOT NULL,
    generator_url    TEXT   NOT NULL,
    started_at       BIGINT NOT NULL,
    opened_at        BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL,
    last_check_at    BIGINT NOT NULL,
    expires_at       BIGINT,
    resolved_at      BIGINT,
    closed_at        BIGINT,
    reopened         BIGINT NOT NULL DEFAULT 0,
    acknowledged_at  BIGINT,
    acknowledged_by  TEXT   NOT NULL DEFAULT ''
);
-- At most one open incident per key, whoever writes.
CREATE UNIQUE INDEX incidents_one_open ON incidents (incident_key) WHERE closed_at IS NULL;
CREATE INDEX incidents_by_key ON incidents (incident_key, id);
CREATE INDEX incidents_by_customer ON incidents (customer, id);
CREATE INDEX incidents_silent ON incidents (customer, source) WHERE state = 'no_data';
CREATE INDEX incidents_expiring ON incidents (expires_at) WHERE closed_at IS NULL AND expires_at IS NOT NULL;
CREATE INDEX incidents_closed ON incidents (last_check_at) WHERE closed_at IS NOT NULL;

-- The append-only history of an incident.
CREATE TABLE incident_events (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    incident_id    BIGINT NOT NULL REFERENCES incidents (id),
    event_type     TEXT   NOT NULL,
    check_at       BIGINT,
    engine_at      BIGINT,
    recorded_at    BIGINT NOT NULL,
    actor          TEXT   NOT NULL,
    detail         TEXT   NOT NULL,
    value          DOUBLE PRECISION,
    run            BIGINT NOT NULL,
    samples_json   TEXT   NOT NULL
);
CREATE INDEX incident_events_by_incident ON incident_events (incident_id, id);

-- What was handed over before, also where it changed nothing.
CREATE TABLE handled_transitions (
    transition_key TEXT   PRIMARY KEY,
    handled_at     BIGINT NOT NULL
);

-- Incidents that share their messages to one receiver.
CREATE TABLE alert_groups (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    route_id      TEXT   NOT NULL,
    group_key     TEXT   NOT NULL,
    receiver      TEXT   NOT NULL,
    labels_json   TEXT   NOT NULL,
    version       BIGINT NOT NULL DEFAULT 0,
    last_flush_at BIGINT,
    repeat_at     BIGINT,
    UNIQUE (route_id, group_key, receiver)
);
CREATE INDEX alert_groups_repeat ON alert_groups (repeat_at) WHERE repeat_at IS NOT NULL;

-- Which incident is told through which group, and what was last told.
CREATE TABLE group_members (
    group_id    BIGINT NOT NULL REFERENCES alert_groups (id),
    incident_id BIGINT NOT NULL REFERENCES incidents (id),
    told        TEXT   NOT NULL CHECK (told IN ('', 'firing', 'resolved')),
    muted_by    TEXT   NOT NULL DEFAULT '',
    PRIMARY KEY (group_id, incident_id)
);
CREATE INDEX group_members_by_incident ON group_members (incident_id);
CREATE INDEX group_members_firing ON group_members (group_id) WHERE told = 'firing';

-- Changes that wait to be told.
CREATE TABLE outbox (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    group_id    BIGINT NOT NULL REFERENCES alert_groups (id),
    incident_id BIGINT NOT NULL REFERENCES incidents (id),
    change      TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    not_before  BIGINT NOT NULL
);
CREATE INDEX outbox_due ON outbox (not_before);
CREATE INDEX outbox_by_group ON outbox (group_id, id);

-- Messages on their way to one integration of one receiver. A message is
-- written here, with its key, before it is first tried.
CREATE TABLE notifications (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    idempotency_key TEXT   NOT NULL UNIQUE,
    group_id        BIGINT NOT NULL REFERENCES alert_groups (id),
    receiver        TEXT   NOT NULL,
    integration     TEXT   NOT NULL,
    reason          TEXT   NOT NULL,
    alerts_json     TEXT   NOT NULL,
    state           TEXT   NOT NULL CHECK (state IN ('pending', 'accepted', 'failed')),
    queued_at       BIGINT NOT NULL,
    due_at          BIGINT NOT NULL,
    attempts        BIGINT NOT NULL DEFAULT 0,
    lease_owner     TEXT   NOT NULL DEFAULT '',
    lease_until     BIGINT NOT NULL DEFAULT 0,
    finished_at     BIGINT
);
CREATE INDEX notifications_pending ON notifications (group_id, integration, id) WHERE state = 'pending';

CREATE TABLE notification_incidents (
    notification_id BIGINT NOT NULL REFERENCES notifications (id),
    incident_id     BIGINT NOT NULL REFERENCES incidents (id),
    told            TEXT   NOT NULL,
    PRIMARY KEY (notification_id, incident_id)
);
CREATE INDEX notification_incidents_by_incident ON notification_incidents (incident_id);

-- What was tried, when, and what the receiver answered.
CREATE TABLE delivery_ledger (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    recorded_at     BIGINT NOT NULL,
    incident_id     BIGINT REFERENCES incidents (id),
    notification_id BIGINT REFERENCES notifications (id),
    receiver        TEXT   NOT NULL,
    integration     TEXT   NOT NULL,
    outcome         TEXT   NOT NULL,
    attempt         BIGINT NOT NULL,
    duration_ms     BIGINT NOT NULL,
    answer          TEXT   NOT NULL
);
CREATE INDEX delivery_ledger_by_incident ON delivery_ledger (incident_id);
CREATE INDEX delivery_ledger_by_notification ON delivery_ledger (notification_id);

-- +goose Down
DROP TABLE delivery_ledger;
DROP TABLE notification_incidents;
DROP TABLE notifications;
DROP TABLE outbox;
DROP TABLE group_members;
DROP TABLE alert_groups;
DROP TABLE handled_transitions;
DROP TABLE incident_events;
DROP TABLE incidents;
