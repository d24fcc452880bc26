-- Finds the open incident of an alert whatever its customer.
-- +goose Up
CREATE INDEX incidents_open_by_alert ON incidents (rule_id, identity_json) WHERE closed_at IS NULL;

-- +goose Down
DROP INDEX incidents_open_by_alert;
