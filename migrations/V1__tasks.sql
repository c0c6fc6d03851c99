-- The table of tasks and what belongs to it. docs/SQL.md says what other programs may rely on.
-- Everything here works with SQLite 3.40, so that the shell of a distribution can read and write it.

-- 'TGRD': tells our files from those of other programs.
PRAGMA application_id = 1413960260;

-- Payload and result stand last: to read a column, SQLite walks over all that stand before it.
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    type TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'pending',
    -- The higher goes first.
    priority INTEGER NOT NULL DEFAULT 0,
    -- Charged attempts so far, and how many may be.
    attempt INTEGER NOT NULL DEFAULT 0,
    max_attempts INTEGER NOT NULL DEFAULT 5,
    -- How often RETRY_TASK has made the task pending again; each time added the first max_attempts.
    retries INTEGER NOT NULL DEFAULT 0,
    -- The time limit of one attempt.
    timeout_s INTEGER NOT NULL DEFAULT 3600,
    -- Of the current or last attempt; the lease is NULL for a worker that knows none.
    assigned_worker TEXT,
    lease TEXT,
    request_key TEXT,
    -- All times are UTC with milliseconds, so they sort as text.
    timestamp_created TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    -- When the task may start. Equal to timestamp_created: at once.
    timestamp_scheduled TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    timestamp_dispatched TEXT,
    timestamp_completed TEXT,
    timestamp_not_before TEXT,
    timestamp_expires TEXT,
    -- What the last failed attempt said; NULL once the task is done.
    error_code TEXT,
    error TEXT,
    -- JSON texts.
    payload TEXT NOT NULL,
    result TEXT,

    -- Beyond this, JavaScript and others no longer tell numbers apart.
    CONSTRAINT id_is_exact_as_a_double CHECK (id BETWEEN 1 AND 9007199254740991),
    CONSTRAINT type_is_a_legal_name CHECK (
        type GLOB '[A-Za-z0-9]*' AND type NOT GLOB '*[^A-Za-z0-9_.-]*' AND length(type) <= 64),
    -- Chains of OR where IN would be shorter: for an IN of more than two values SQLite builds a temporary table,
    -- and it would do so for every row that is written.
    CONSTRAINT status_is_known CHECK (
        status = 'running' OR status = 'done' OR status = 'pending' OR status = 'failed' OR status = 'cancelled'),
    CONSTRAINT priority_is_within_100 CHECK (priority BETWEEN -100 AND 100),
    CONSTRAINT attempt_is_within_max_attempts CHECK (attempt BETWEEN 0 AND max_attempts),
    CONSTRAINT max_attempts_is_positive CHECK (max_attempts >= 1),
    CONSTRAINT retries_is_not_negative CHECK (retries >= 0),
    CONSTRAINT timeout_s_is_within_ten_years CHECK (timeout_s BETWEEN 1 AND 315360000),
    CONSTRAINT request_key_has_1_to_64_bytes CHECK (
        request_key IS NULL OR length(CAST(request_key AS BLOB)) BETWEEN 1 AND 64),
    CONSTRAINT timestamp_created_is_utc_text CHECK (timestamp_created GLOB '????-??-??T??:??:??.???Z'),
    CONSTRAINT timestamp_scheduled_is_utc_text CHECK (timestamp_scheduled GLOB '????-??-??T??:??:??.???Z'),
    CONSTRAINT timestamp_dispatched_is_utc_text CHECK (timestamp_dispatched GLOB '????-??-??T??:??:??.???Z'),
    CONSTRAINT timestamp_completed_is_utc_text CHECK (timestamp_completed GLOB '????-??-??T??:??:??.???Z'),
    CONSTRAINT timestamp_not_before_is_utc_text CHECK (timestamp_not_before GLOB '????-??-??T??:??:??.???Z'),
    CONSTRAINT timestamp_expires_is_utc_text CHECK (timestamp_expires GLOB '????-??-??T??:??:??.???Z'),
    CONSTRAINT payload_is_json CHECK (json_valid(payload)),
    CONSTRAINT a_pending_task_has_attempts_left CHECK (status <> 'pending' OR attempt < max_attempts),
    CONSTRAINT a_running_task_has_a_worker CHECK (
        status <> 'running' OR (attempt >= 1 AND assigned_worker IS NOT NULL AND timestamp_dispatched IS NOT NULL)),
    CONSTRAINT a_done_task_and_no_other_has_a_result CHECK ((status = 'done') = (result IS NOT NULL)),
    CONSTRAINT an_ended_task_and_no_other_is_completed CHECK (
        (status = 'done' OR status = 'failed' OR status = 'cancelled') = (timestamp_completed IS NOT NULL)),
    CONSTRAINT a_failed_task_has_an_error CHECK (status <> 'failed' OR error_code IS NOT NULL),
    CONSTRAINT error_and_its_code_come_together CHECK ((error_code IS NULL) = (error IS NULL))
) STRICT;

-- The order of work: the highest priority, then the earliest due time, then (as in every index) the lowest id.
CREATE INDEX tasks_pending ON tasks (type, priority DESC, timestamp_scheduled)
    WHERE status = 'pending';

-- Finds the few among the many. Pending and done tasks are not in it: entering them would cost every task.
CREATE INDEX tasks_status ON tasks (status)
    WHERE status = 'running' OR status = 'failed' OR status = 'cancelled';

CREATE UNIQUE INDEX tasks_request_key ON tasks (request_key)
    WHERE request_key IS NOT NULL;

CREATE INDEX tasks_expires ON tasks (timestamp_expires)
    WHERE timestamp_expires IS NOT NULL AND (status = 'pending' OR status = 'running');

-- Attempts that ended without the recorded result. The current attempt, and the one that brought the result,
-- stand in the task's own row.
CREATE TABLE task_attempts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id INTEGER NOT NULL REFERENCES tasks (id),
    -- Its number among the task's charged attempts. One that was given back leaves its number to the next.
    attempt INTEGER NOT NULL,
    -- tasks.retries at that time.
    round INTEGER NOT NULL,
    charged INTEGER NOT NULL
        CONSTRAINT charged_is_0_or_1 CHECK (charged IN (0, 1)),
    worker TEXT NOT NULL,
    lease TEXT,
    outcome TEXT NOT NULL
        CONSTRAINT outcome_is_known CHECK (
            outcome IN ('failed', 'timeout', 'lease_lost', 'worker_lost', 'rejected', 'released', 'superseded',
                        'cancelled', 'expired', 'late')),
    timestamp_dispatched TEXT NOT NULL,
    timestamp_ended TEXT NOT NULL,
    error_code TEXT,
    error TEXT,
    -- What a late attempt brought.
    result TEXT
) STRICT;

CREATE INDEX task_attempts_task ON task_attempts (task_id);

-- Tasks by status, for statistics and nothing else. `counted_to` is the newest task that they know of; where it
-- is missing, the next start counts all tasks anew.
CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The dispatcher deletes no task; people do.
CREATE TRIGGER tasks_deleted AFTER DELETE ON tasks
BEGIN
    DELETE FROM task_attempts WHERE task_id = OLD.id;
    UPDATE counters SET value = value - 1
    WHERE name = OLD.status AND OLD.id <= (SELECT value FROM counters WHERE name = 'counted_to');
END;

-- Who made this file, and when.
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE VIEW ready_tasks AS
SELECT id, type, priority, attempt, max_attempts, timestamp_created, timestamp_scheduled, payload
FROM tasks
WHERE status = 'pending'
  AND (timestamp_scheduled <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now') OR timestamp_scheduled = timestamp_created)
ORDER BY type, priority DESC, timestamp_scheduled, id;

CREATE VIEW running_tasks AS
SELECT id, type, attempt, max_attempts, assigned_worker, lease, timestamp_dispatched,
       round((julianday('now') - julianday(timestamp_dispatched)) * 86400, 1) AS running_s, timeout_s
FROM tasks
WHERE status = 'running'
ORDER BY id;

CREATE VIEW failed_tasks AS
SELECT id, type, error_code, error, attempt, max_attempts, assigned_worker, timestamp_created, timestamp_completed,
       payload
FROM tasks
WHERE status = 'failed'
ORDER BY id DESC;

CREATE VIEW type_summary AS
SELECT type,
       count(*) FILTER (WHERE status = 'pending') AS pending,
       count(*) FILTER (WHERE status = 'running') AS running,
       count(*) FILTER (WHERE status = 'done') AS done,
       count(*) FILTER (WHERE status = 'failed') AS failed,
       count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
       min(timestamp_created) FILTER (WHERE status = 'pending') AS oldest_pending,
       max(timestamp_completed) AS last_completed
FROM tasks
GROUP BY type
ORDER BY type;
