-- +goose Up
CREATE TABLE organisation (
    code     TEXT NOT NULL PRIMARY KEY, -- ODS code
    name     TEXT NOT NULL,
    type     TEXT NOT NULL,
    address  TEXT NOT NULL, -- JSON array of lines
    postcode TEXT NOT NULL,
    phone    TEXT NOT NULL,
    parent   TEXT NOT NULL, -- ODS parentage; '' for none
    ra       TEXT NOT NULL  -- whose Registration Authority serves it, apart from parentage; '' for the default queue
);

-- Published for rooms that show an organisation by its name.
CREATE VIEW organisation_directory AS
SELECT code, name, type, postcode, parent, ra FROM organisation;
