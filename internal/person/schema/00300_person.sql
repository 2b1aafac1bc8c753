-- +goose Up
CREATE TABLE person (
    uid                TEXT   NOT NULL PRIMARY KEY,
    title              TEXT   NOT NULL,
    given_name         TEXT   NOT NULL,
    middle_names       TEXT   NOT NULL,
    family_name        TEXT   NOT NULL,
    id_assurance_level BIGINT NOT NULL,
    memberships        TEXT   NOT NULL, -- JSON object: membership -> number
    closed_at          BIGINT NOT NULL, -- microseconds; 0 while the person is open
    closed_reason      TEXT   NOT NULL,
    version            BIGINT NOT NULL  -- grows with every change of the person or their addresses
);

-- A person has at most one address of each kind: the one they sign in with
-- (verified = 1) and the one that waits for its code (verified = 0).
CREATE TABLE person_email (
    uid         TEXT   NOT NULL,
    address     TEXT   NOT NULL,
    verified    BIGINT NOT NULL,
    added_at    BIGINT NOT NULL,
    verified_at BIGINT NOT NULL,
    PRIMARY KEY (uid, verified)
);

-- One sign-in address for each identity. An address that nobody verified may
-- be typed by several people: only one of them can receive its code.
CREATE UNIQUE INDEX person_email_verified ON person_email (address) WHERE verified = 1;

CREATE TABLE person_email_domain (
    entry    TEXT   NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL
);

-- Published for rooms that look a person up by what they typed.
CREATE VIEW person_sign_in AS
SELECT e.uid AS uid, e.address AS address, p.title AS title, p.given_name AS given_name,
       p.middle_names AS middle_names, p.family_name AS family_name,
       p.closed_at AS closed_at, p.version AS person_version
FROM person_email e
JOIN person p ON p.uid = e.uid
WHERE e.verified = 1;
