-- SPDX-License-Identifier: MIT
-- Of each kind of event the largest number that is not kept any more ('' for what an event lacks;
-- type '': of whatever type): who comes back is told of a loss only when something of his own is
-- among it. And the ways to the events of one project, and of one app.
CREATE TABLE events_forgotten (
    project TEXT NOT NULL,
    app TEXT NOT NULL,
    type TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (project, app, type)
) STRICT, WITHOUT ROWID;
CREATE INDEX events_forgotten_last ON events_forgotten (number);
INSERT INTO events_forgotten (project, app, type, number)
    SELECT place.project, place.app, '', gone.number
    FROM (SELECT '' AS project, '' AS app
          UNION ALL SELECT name, '' FROM projects
          UNION ALL SELECT p.name, a.name FROM projects p JOIN apps a ON a.project_id = p.id) place,
         (SELECT coalesce((SELECT min(number) FROM events WHERE number IS NOT NULL),
                          last_number + 1) - 1 AS number
          FROM sequencer WHERE one = 1) gone
    WHERE gone.number > 0;
CREATE INDEX events_of_project ON events (project, number) WHERE number IS NOT NULL;
CREATE INDEX events_of_app ON events (project, app, number) WHERE number IS NOT NULL;
