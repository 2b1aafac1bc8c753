-- +goose Up
CREATE TABLE access_role (
    id            TEXT   NOT NULL PRIMARY KEY, -- person_roleid on the wire
    uid           TEXT   NOT NULL,
    org_person_id TEXT   NOT NULL,             -- person_orgid on the wire
    org           TEXT   NOT NULL,
    code          TEXT   NOT NULL,
    name          TEXT   NOT NULL,
    activities    TEXT   NOT NULL,             -- JSON objects: code -> name
    workgroups    TEXT   NOT NULL,
    areas         TEXT   NOT NULL,
    position      BIGINT NOT NULL              -- the person's roles are shown in this order
);

CREATE INDEX access_role_of ON access_role (uid, position);
