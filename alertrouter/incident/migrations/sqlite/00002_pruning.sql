-- What lets handled transitions and the messages of old notifications be pruned.
-- +goose Up
ALTER TABLE handled_transitions ADD COLUMN incident_key TEXT NOT NULL DEFAULT '';
CREATE INDEX handled_transitions_by_age ON handled_transitions (handled_at);
CREATE INDEX notifications_messages ON notifications (finished_at) WHERE finished_at IS NOT NULL AND alerts_json <> '[]';

-- +goose Down
DROP INDEX notifications_messages;
DROP INDEX handled_transitions_by_age;
ALTER TABLE handled_transitions DROP COLUMN incident_key;
