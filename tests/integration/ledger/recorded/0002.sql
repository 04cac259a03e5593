BEGIN TRANSACTION;
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE champions (
	model VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	CONSTRAINT champions_pk PRIMARY KEY (model), 
	CONSTRAINT champions_model_fk FOREIGN KEY(model, version) REFERENCES versions (model, number)
);
INSERT INTO "champions" VALUES('boston',1);
CREATE TABLE events (
	id INTEGER NOT NULL, 
	at DOUBLE NOT NULL, 
	kind VARCHAR NOT NULL, 
	study INTEGER NOT NULL, 
	task INTEGER, 
	attempt INTEGER, 
	worker VARCHAR, 
	text TEXT NOT NULL, 
	CONSTRAINT events_pk PRIMARY KEY (id), 
	CONSTRAINT events_study_fk FOREIGN KEY(study) REFERENCES studies (number), 
	CONSTRAINT events_task_fk FOREIGN KEY(task) REFERENCES tasks (id)
);
INSERT INTO "events" VALUES(1,1.79524263781199908259e+09,'opened',1,NULL,NULL,NULL,'3 trials');
INSERT INTO "events" VALUES(2,1.79524263783601808553e+09,'claimed',1,1,1,'w1','');
INSERT INTO "events" VALUES(3,1.79524263783798956875e+09,'faulted',1,1,1,'w1','segmentation fault');
INSERT INTO "events" VALUES(4,1.79524263785199069973e+09,'claimed',1,1,2,'w1','');
INSERT INTO "events" VALUES(5,1.79524263785299658781e+09,'faulted',1,1,2,'w1','segmentation fault');
INSERT INTO "events" VALUES(6,1795242637.85702,'claimed',1,1,3,'w1','');
INSERT INTO "events" VALUES(7,1795242637.85702,'faulted',1,1,3,'w1','segmentation fault');
INSERT INTO "events" VALUES(8,1.79524263787098073961e+09,'claimed',1,2,1,'w2','');
INSERT INTO "events" VALUES(9,1.79524263787198662756e+09,'committed',1,2,1,'w2','');
INSERT INTO "events" VALUES(10,1.79524263788498187059e+09,'finished',1,NULL,NULL,NULL,'3 trials');
INSERT INTO "events" VALUES(11,1.79524263792099046709e+09,'claimed',1,3,1,'w2','');
INSERT INTO "events" VALUES(12,1.79524263792199635508e+09,'committed',1,3,1,'w2','');
CREATE TABLE judged_rows (
	digest VARCHAR NOT NULL, 
	sample BLOB NOT NULL, 
	CONSTRAINT judged_rows_pk PRIMARY KEY (digest)
);
INSERT INTO "judged_rows" VALUES('eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee',X'3132333435363738');
CREATE TABLE judgements (
	id INTEGER NOT NULL, 
	model VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	champion INTEGER, 
	rows VARCHAR NOT NULL, 
	verdict TEXT NOT NULL, 
	at DOUBLE NOT NULL, 
	CONSTRAINT judgements_pk PRIMARY KEY (id), 
	CONSTRAINT judgements_model_fk FOREIGN KEY(model, version) REFERENCES versions (model, number)
);
INSERT INTO "judgements" VALUES(1,'boston',1,NULL,'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','{"decision": "promote", "text": "better than the baseline", "against": "the baseline", "metric": "mse", "rows": 101, "judged": 1, "candidate": 2.0, "other": 3.0, "difference": 1.0, "low": 0.5, "high": 1.5, "confidence": null}',1.79524263795498752595e+09);
CREATE TABLE outbox (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	kind VARCHAR NOT NULL, 
	payload TEXT NOT NULL
);
INSERT INTO "outbox" VALUES(1,'version','{"model": "boston", "version": 1, "study": "5555555555555555555555555555555555555555555555555555555555555555", "manifest": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}');
INSERT INTO "outbox" VALUES(2,'champion','{"model": "boston", "version": 1}');
CREATE TABLE promotions (
	model VARCHAR NOT NULL, 
	number INTEGER NOT NULL, 
	version INTEGER NOT NULL, 
	previous INTEGER, 
	kind VARCHAR NOT NULL, 
	why TEXT NOT NULL, 
	verdict TEXT, 
	at DOUBLE NOT NULL, 
	CONSTRAINT promotions_pk PRIMARY KEY (model, number), 
	CONSTRAINT promotions_model_fk FOREIGN KEY(model, version) REFERENCES versions (model, number), 
	CONSTRAINT promotions_kind_ck CHECK (kind IN ('gate', 'promote', 'rollback'))
);
INSERT INTO "promotions" VALUES('boston',1,1,NULL,'gate','better','{"decision": "promote", "text": "better than the baseline", "against": "the baseline", "metric": "mse", "rows": 101, "judged": 1, "candidate": 2.0, "other": 3.0, "difference": 1.0, "low": 0.5, "high": 1.5, "confidence": null}',1.79524263796701717375e+09);
CREATE TABLE results (
	study INTEGER NOT NULL, 
	mark INTEGER NOT NULL, 
	trial INTEGER NOT NULL, 
	state VARCHAR NOT NULL, 
	scores TEXT NOT NULL, 
	score DOUBLE, 
	seconds DOUBLE NOT NULL, 
	reason TEXT, 
	attempts INTEGER NOT NULL, 
	CONSTRAINT results_pk PRIMARY KEY (study, mark), 
	CONSTRAINT results_study_trial_uq UNIQUE (study, trial), 
	CONSTRAINT results_study_fk FOREIGN KEY(study, trial) REFERENCES trials (study, number), 
	CONSTRAINT results_state_ck CHECK (state IN ('done', 'failed', 'pruned'))
)
 WITHOUT ROWID

;
INSERT INTO "results" VALUES(1,1,0,'failed','[]',NULL,0.0,'segmentation fault',3);
INSERT INTO "results" VALUES(1,2,1,'done','[1.5, 2.5]',2.0,0.25,NULL,1);
INSERT INTO "results" VALUES(1,3,2,'pruned','[9.0]',NULL,0.1,'worse than the median',1);
CREATE TABLE studies (
	number INTEGER NOT NULL, 
	id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	spec TEXT NOT NULL, 
	table_digest VARCHAR NOT NULL, 
	sources TEXT NOT NULL, 
	asked INTEGER NOT NULL, 
	size INTEGER NOT NULL, 
	limit_seconds DOUBLE, 
	limit_memory BIGINT, 
	state VARCHAR NOT NULL, 
	best INTEGER, 
	created DOUBLE NOT NULL, 
	finished DOUBLE, 
	ready INTEGER DEFAULT 0 NOT NULL, 
	running INTEGER DEFAULT 0 NOT NULL, 
	done INTEGER DEFAULT 0 NOT NULL, 
	failed INTEGER DEFAULT 0 NOT NULL, 
	pruned INTEGER DEFAULT 0 NOT NULL, 
	results INTEGER DEFAULT 0 NOT NULL, 
	CONSTRAINT studies_pk PRIMARY KEY (number), 
	CONSTRAINT studies_state_ck CHECK (state IN ('searching', 'finished')), 
	CONSTRAINT studies_id_uq UNIQUE (id)
);
INSERT INTO "studies" VALUES(1,'5555555555555555555555555555555555555555555555555555555555555555','boston','{"name": "boston"}','7777777777777777777777777777777777777777777777777777777777777777','{"./f.py": "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"}',3,3,60.0,1073741824,'finished',1,1.79524263781199908259e+09,1.79524263788498187059e+09,0,0,1,1,1,3);
CREATE TABLE tasks (
	id INTEGER NOT NULL, 
	study INTEGER NOT NULL, 
	kind VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	trials TEXT NOT NULL, 
	refit INTEGER, 
	attempts INTEGER DEFAULT 0 NOT NULL, 
	faults INTEGER DEFAULT 0 NOT NULL, 
	lost INTEGER DEFAULT 0 NOT NULL, 
	token BIGINT, 
	worker VARCHAR, 
	lease DOUBLE, 
	lease_ends DOUBLE, 
	candidate VARCHAR, 
	reason TEXT, 
	CONSTRAINT tasks_pk PRIMARY KEY (id), 
	CONSTRAINT tasks_kind_ck CHECK (kind IN ('trials', 'refit')), 
	CONSTRAINT tasks_state_ck CHECK (state IN ('ready', 'running', 'done', 'failed', 'withdrawn')), 
	CONSTRAINT tasks_refit_ck CHECK ((kind = 'refit') = (refit IS NOT NULL)), 
	CONSTRAINT tasks_token_ck CHECK ((state = 'running') = (token IS NOT NULL)), 
	CONSTRAINT tasks_study_fk FOREIGN KEY(study) REFERENCES studies (number)
);
INSERT INTO "tasks" VALUES(1,1,'trials','failed','[[0, "random_forest", {"max_depth": null, "leaf": 0}, null]]',NULL,3,3,0,NULL,NULL,NULL,NULL,NULL,'segmentation fault');
INSERT INTO "tasks" VALUES(2,1,'trials','done','[[1, "random_forest", {"max_depth": null, "leaf": 1}, null], [2, "random_forest", {"max_depth": null, "leaf": 2}, null]]',NULL,1,0,0,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "tasks" VALUES(3,1,'refit','done','[[1, "random_forest", {"max_depth": null, "leaf": 1}, null]]',1,1,0,0,NULL,NULL,NULL,NULL,'cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc',NULL);
CREATE TABLE trials (
	study INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	CONSTRAINT trials_pk PRIMARY KEY (study, number), 
	CONSTRAINT trials_study_fk FOREIGN KEY(study) REFERENCES studies (number)
)
 WITHOUT ROWID

;
INSERT INTO "trials" VALUES(1,0);
INSERT INTO "trials" VALUES(1,1);
INSERT INTO "trials" VALUES(1,2);
CREATE TABLE versions (
	model VARCHAR NOT NULL, 
	number INTEGER NOT NULL, 
	study VARCHAR NOT NULL, 
	trial INTEGER NOT NULL, 
	size INTEGER NOT NULL, 
	manifest VARCHAR NOT NULL, 
	created DOUBLE NOT NULL, 
	CONSTRAINT versions_pk PRIMARY KEY (model, number), 
	CONSTRAINT versions_model_manifest_uq UNIQUE (model, manifest)
);
INSERT INTO "versions" VALUES('boston',1,'5555555555555555555555555555555555555555555555555555555555555555',1,3,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',1.7952426379440040589e+09);
CREATE INDEX studies_name ON studies (name);
CREATE INDEX tasks_refit ON tasks (study, refit, id) WHERE kind = 'refit';
CREATE INDEX tasks_ready ON tasks (id) WHERE state = 'ready';
CREATE UNIQUE INDEX tasks_live_refit ON tasks (study, refit) WHERE kind = 'refit' AND state != 'failed';
CREATE INDEX tasks_running ON tasks (lease_ends) WHERE state = 'running';
CREATE INDEX tasks_of_study ON tasks (study, state, id);
CREATE INDEX judgements_rows ON judgements (model, rows);
CREATE INDEX events_study ON events (study, id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('outbox',2);
COMMIT;
