BEGIN TRANSACTION;
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));
INSERT INTO "alembic_version" VALUES('0014');
CREATE TABLE autoscalers (
	name VARCHAR NOT NULL, 
	workers TEXT NOT NULL, 
	spent DOUBLE NOT NULL, 
	began DOUBLE NOT NULL, 
	holder VARCHAR, 
	lease DOUBLE, 
	lease_ends DOUBLE, 
	CONSTRAINT autoscalers_pk PRIMARY KEY (name)
);
INSERT INTO "autoscalers" VALUES('local','["w1", "w2"]',42.5,1.79595117267198705669e+09,'autoscaler-1',10.0,1.79595118267198705676e+09);
CREATE TABLE champions (
	model VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	CONSTRAINT champions_pk PRIMARY KEY (model), 
	CONSTRAINT champions_model_fk FOREIGN KEY(model, version) REFERENCES versions (model, number)
);
INSERT INTO "champions" VALUES('boston',1);
CREATE TABLE deployments (
	model VARCHAR NOT NULL, 
	number INTEGER NOT NULL, 
	revision VARCHAR NOT NULL, 
	steps TEXT NOT NULL, 
	bounds TEXT NOT NULL, 
	sticky VARCHAR, 
	base INTEGER, 
	step INTEGER NOT NULL, 
	state VARCHAR NOT NULL, 
	reason TEXT NOT NULL, 
	began DOUBLE NOT NULL, 
	since DOUBLE NOT NULL, 
	server VARCHAR, 
	lease DOUBLE, 
	lease_ends DOUBLE, 
	CONSTRAINT deployments_pk PRIMARY KEY (model, number), 
	CONSTRAINT deployments_server_ck CHECK (state = 'running' OR server IS NULL), 
	CONSTRAINT deployments_state_ck CHECK (state IN ('running', 'done', 'undone', 'failed', 'superseded')), 
	CONSTRAINT deployments_model_fk FOREIGN KEY(model, revision) REFERENCES revisions (model, name)
);
INSERT INTO "deployments" VALUES('boston',1,'v1','[100]','{"hold": 30.0, "requests": 100, "errors": 0.01, "slower": 2.0, "drift": 0.25}',NULL,NULL,0,'done','it passed its test',1.7952515874199838638e+09,1.79525158743499064443e+09,NULL,NULL,NULL);
INSERT INTO "deployments" VALUES('boston',2,'v1-2','[10, 100]','{"hold": 60.0, "requests": 100, "errors": 0.01, "slower": 2.0, "drift": 0.25}','header:X-User',1,0,'superseded','route 3: nobody asks for it',1.79525158746701622011e+09,1795251587.478,NULL,NULL,NULL);
INSERT INTO "deployments" VALUES('boston',3,'v1-2','[10, 100]','{"hold": 30.0, "requests": 100, "errors": 0.01, "slower": 2.0, "drift": 0.25}',NULL,3,-1,'running','jo@desk',1.79598992203400731086e+09,1.79598992203400731086e+09,NULL,NULL,NULL);
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
INSERT INTO "events" VALUES(13,1.79594908387201118464e+09,'prioritized',1,NULL,NULL,NULL,'to 3');
CREATE TABLE fit_progress (
	id INTEGER NOT NULL, 
	study INTEGER NOT NULL, 
	task INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	attempt INTEGER NOT NULL, 
	at DOUBLE NOT NULL, 
	trial INTEGER NOT NULL, 
	fold INTEGER, 
	step INTEGER NOT NULL, 
	steps INTEGER NOT NULL, 
	epoch DOUBLE NOT NULL, 
	loss DOUBLE NOT NULL, 
	accuracy DOUBLE, 
	rows_per_second DOUBLE NOT NULL, 
	workers INTEGER NOT NULL, 
	checkpoint VARCHAR, 
	checkpointed DOUBLE, 
	CONSTRAINT fit_progress_pk PRIMARY KEY (id), 
	CONSTRAINT fit_progress_study_fk FOREIGN KEY(study) REFERENCES studies (number), 
	CONSTRAINT fit_progress_task_fk FOREIGN KEY(task) REFERENCES tasks (id), 
	CONSTRAINT fit_progress_task_number_uq UNIQUE (task, number)
);
INSERT INTO "fit_progress" VALUES(1,1,2,1,1,1795242637.871,1,0,39,120,0.5,0.75,0.875,1500.5,2,'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee',1795242637.871);
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
CREATE TABLE leaving_workers (
	worker VARCHAR NOT NULL, 
	CONSTRAINT leaving_workers_pk PRIMARY KEY (worker)
);
INSERT INTO "leaving_workers" VALUES('worker-1');
CREATE TABLE observations (
	model VARCHAR NOT NULL, 
	server VARCHAR NOT NULL, 
	deployment INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	seconds DOUBLE NOT NULL, 
	revisions TEXT NOT NULL, 
	edges TEXT NOT NULL, 
	crashes INTEGER NOT NULL, 
	CONSTRAINT observations_pk PRIMARY KEY (model, server), 
	CONSTRAINT observations_model_fk FOREIGN KEY(model, deployment) REFERENCES deployments (model, number)
);
INSERT INTO "observations" VALUES('boston','s1',3,-1,1.5,'{"v1": {"requests": 3, "errors": 1, "refused": 2, "latency": [0, 2, 1], "bins": [1, 2]}}','[22.5]',1);
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
CREATE TABLE requests (
	id INTEGER NOT NULL, 
	caller VARCHAR NOT NULL, 
	request_key VARCHAR NOT NULL, 
	digest VARCHAR NOT NULL, 
	status INTEGER NOT NULL, 
	media_type VARCHAR NOT NULL, 
	location VARCHAR NOT NULL, 
	body BLOB NOT NULL, 
	written DOUBLE NOT NULL, 
	until DOUBLE NOT NULL, 
	CONSTRAINT requests_pk PRIMARY KEY (id), 
	CONSTRAINT requests_caller_request_key_uq UNIQUE (caller, request_key)
);
INSERT INTO "requests" VALUES(1,'ann','k','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd',200,'application/json','',X'7B7D',1.79596863590701818461e+09,1.79605503590701818467e+09);
CREATE TABLE results (
	study INTEGER NOT NULL, 
	mark INTEGER NOT NULL, 
	trial INTEGER NOT NULL, 
	state VARCHAR NOT NULL, 
	scores TEXT NOT NULL, 
	score DOUBLE, 
	seconds DOUBLE NOT NULL, 
	reason TEXT, 
	attempts INTEGER NOT NULL, curve TEXT, 
	CONSTRAINT results_pk PRIMARY KEY (study, mark), 
	CONSTRAINT results_study_trial_uq UNIQUE (study, trial), 
	CONSTRAINT results_study_fk FOREIGN KEY(study, trial) REFERENCES trials (study, number), 
	CONSTRAINT results_state_ck CHECK (state IN ('done', 'failed', 'pruned'))
)
 WITHOUT ROWID

;
INSERT INTO "results" VALUES(1,1,0,'failed','[]',NULL,0.0,'segmentation fault',3,NULL);
INSERT INTO "results" VALUES(1,2,1,'done','[1.5, 2.5]',2.0,0.25,NULL,1,NULL);
INSERT INTO "results" VALUES(1,3,2,'pruned','[9.0]',NULL,0.1,'worse than the median',1,'[0.5, 0.75]');
CREATE TABLE revisions (
	model VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	allowance TEXT NOT NULL, 
	state VARCHAR NOT NULL, 
	reason TEXT NOT NULL, 
	created DOUBLE NOT NULL, 
	changed DOUBLE NOT NULL, 
	CONSTRAINT revisions_pk PRIMARY KEY (model, name), 
	CONSTRAINT revisions_state_ck CHECK (state IN ('loading', 'ready', 'serving', 'draining', 'retired', 'failed')), 
	CONSTRAINT revisions_model_fk FOREIGN KEY(model, version) REFERENCES versions (model, number), 
	CONSTRAINT revisions_model_version_number_uq UNIQUE (model, version, number)
);
INSERT INTO "revisions" VALUES('boston','v1',1,1,'{"idle_after": null, "max_concurrency": 256, "queue": 256, "deadline": 10.0}','serving','route 1: the first',1.7952515873919816017e+09,1.79525158743499064443e+09);
INSERT INTO "revisions" VALUES('boston','v1-2',1,2,'{"idle_after": 90.0, "max_concurrency": 256, "queue": 256, "deadline": 10.0}','serving','route 2: 10 %',1.79525158745699834825e+09,1795251587.478);
CREATE TABLE "routes" (
	model VARCHAR NOT NULL, 
	number INTEGER NOT NULL, 
	traffic TEXT NOT NULL, 
	kind VARCHAR NOT NULL, 
	why TEXT NOT NULL, 
	details VARCHAR NOT NULL, 
	sticky VARCHAR, 
	deployment INTEGER, 
	"before" INTEGER, 
	at DOUBLE NOT NULL, 
	CONSTRAINT routes_pk PRIMARY KEY (model, number), 
	CONSTRAINT routes_kind_ck CHECK (kind IN ('deploy', 'set', 'undo', 'undeploy')), 
	CONSTRAINT routes_before_fk FOREIGN KEY(model, "before") REFERENCES "routes" (model, number), 
	CONSTRAINT routes_deployment_fk FOREIGN KEY(model, deployment) REFERENCES deployments (model, number)
);
INSERT INTO "routes" VALUES('boston',1,'{"v1": 100}','deploy','the first','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd',NULL,1,NULL,1.79525158743398475643e+09);
INSERT INTO "routes" VALUES('boston',2,'{"v1": 90, "v1-2": 10}','deploy','10 %','eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','header:X-User',2,1,1.79525158747301101687e+09);
INSERT INTO "routes" VALUES('boston',3,'{}','undeploy','nobody asks for it','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff','header:X-User',NULL,2,1.79526353935499477388e+09);
CREATE TABLE routes_in_force (
	model VARCHAR NOT NULL, 
	number INTEGER NOT NULL, 
	CONSTRAINT routes_in_force_pk PRIMARY KEY (model), 
	CONSTRAINT routes_in_force_model_fk FOREIGN KEY(model, number) REFERENCES routes (model, number)
);
INSERT INTO "routes_in_force" VALUES('boston',3);
CREATE TABLE "runs" (
	number INTEGER NOT NULL, 
	id VARCHAR NOT NULL, 
	study INTEGER NOT NULL, 
	spec TEXT NOT NULL, 
	deploy BOOLEAN NOT NULL, 
	stage VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	version INTEGER, 
	verdict TEXT, 
	reason TEXT NOT NULL, 
	began DOUBLE NOT NULL, 
	since DOUBLE NOT NULL, 
	holder VARCHAR, 
	lease DOUBLE, 
	lease_ends DOUBLE, 
	CONSTRAINT runs_pk PRIMARY KEY (number), 
	CONSTRAINT runs_id_uq UNIQUE (id), 
	CONSTRAINT runs_study_fk FOREIGN KEY(study) REFERENCES studies (number), 
	CONSTRAINT runs_stage_ck CHECK (stage IN ('search', 'refit', 'register', 'judge', 'deploy')), 
	CONSTRAINT runs_holder_ck CHECK (state = 'running' OR holder IS NULL), 
	CONSTRAINT runs_state_ck CHECK (state IN ('running', 'done', 'failed', 'cancelled'))
);
INSERT INTO "runs" VALUES(1,'5555555555555555555555555555555555555555555555555555555555555555.1',1,'{"name": "boston"}',0,'judge','done',1,'{"decision": "keep", "text": "kept, not promoted", "against": "champion v1", "metric": "mse", "rows": 40, "judged": 1, "candidate": null, "other": null, "difference": null, "low": null, "high": null, "confidence": null}','',1.79590261973200130459e+09,1.79590261976499271389e+09,NULL,NULL,NULL);
INSERT INTO "runs" VALUES(2,'5555555555555555555555555555555555555555555555555555555555555555.2',1,'{"cancelled": true}',0,'search','cancelled',NULL,NULL,'not wanted',1.79594908385398674011e+09,1.79594908386798810962e+09,NULL,NULL,NULL);
CREATE TABLE scaling_decisions (
	id INTEGER NOT NULL, 
	autoscaler VARCHAR NOT NULL, 
	at DOUBLE NOT NULL, 
	cause VARCHAR NOT NULL, 
	reason TEXT NOT NULL, 
	wanted INTEGER NOT NULL, 
	there INTEGER NOT NULL, 
	starting INTEGER NOT NULL, 
	busy INTEGER NOT NULL, 
	ready INTEGER NOT NULL, 
	running INTEGER NOT NULL, 
	start INTEGER NOT NULL, 
	leave TEXT NOT NULL, 
	spent DOUBLE NOT NULL, 
	CONSTRAINT scaling_decisions_pk PRIMARY KEY (id), 
	CONSTRAINT scaling_decisions_autoscaler_fk FOREIGN KEY(autoscaler) REFERENCES autoscalers (name)
);
INSERT INTO "scaling_decisions" VALUES(1,'local',1.79595117267299294464e+09,'work','12 tasks of 10 s each wait: 2 workers in 60 s',2,3,0,1,12,1,0,'["w1"]',42.5);
CREATE TABLE schedules (
	model VARCHAR NOT NULL, 
	every DOUBLE NOT NULL, 
	source VARCHAR, 
	folder VARCHAR NOT NULL, 
	deploy BOOLEAN NOT NULL, 
	priority INTEGER, 
	"by" VARCHAR NOT NULL, 
	paused BOOLEAN NOT NULL, 
	first DOUBLE NOT NULL, 
	due DOUBLE NOT NULL, 
	created DOUBLE NOT NULL, 
	run VARCHAR, 
	outcome VARCHAR, 
	reason TEXT NOT NULL, 
	noted DOUBLE, 
	holder VARCHAR, 
	lease DOUBLE, 
	lease_ends DOUBLE, 
	CONSTRAINT schedules_pk PRIMARY KEY (model), 
	CONSTRAINT schedules_outcome_ck CHECK (outcome IN ('began', 'unchanged', 'skipped', 'failed')), 
	CONSTRAINT schedules_run_fk FOREIGN KEY(run) REFERENCES runs (id)
);
INSERT INTO "schedules" VALUES('boston',86400.0,'new.csv','/data',0,2,'jo@desk',0,1795951182.25,1796037582.25,1.79597035166299057009e+09,NULL,'failed','data.source: ''new.csv'' is not there',1.79597035167200279239e+09,NULL,NULL,NULL);
CREATE TABLE servers (
	id VARCHAR NOT NULL, 
	url VARCHAR NOT NULL, 
	processes INTEGER NOT NULL, 
	models TEXT, 
	routes TEXT NOT NULL, 
	started DOUBLE NOT NULL, 
	seen DOUBLE NOT NULL, 
	lease DOUBLE NOT NULL, 
	lease_ends DOUBLE NOT NULL, 
	CONSTRAINT servers_pk PRIMARY KEY (id)
);
INSERT INTO "servers" VALUES('s1','http://127.0.0.1:8080',2,NULL,'{"boston": 2}',1.79525158748898363116e+09,1.79525158748898363116e+09,10.0,1.7952515974889836311e+09);
CREATE TABLE serving_events (
	id INTEGER NOT NULL, 
	model VARCHAR NOT NULL, 
	at DOUBLE NOT NULL, 
	kind VARCHAR NOT NULL, 
	text TEXT NOT NULL, 
	revision VARCHAR, 
	route INTEGER, 
	deployment INTEGER, 
	CONSTRAINT serving_events_pk PRIMARY KEY (id)
);
INSERT INTO "serving_events" VALUES(1,'boston',1.79525158739298725126e+09,'loading','champion','v1',NULL,NULL);
INSERT INTO "serving_events" VALUES(2,'boston',1.79525158741101169583e+09,'ready','its golden rows came back','v1',NULL,NULL);
INSERT INTO "serving_events" VALUES(3,'boston',1.79525158742098951344e+09,'began','','v1',NULL,1);
INSERT INTO "serving_events" VALUES(4,'boston',1.79525158743499064443e+09,'routed','the first',NULL,1,1);
INSERT INTO "serving_events" VALUES(5,'boston',1.79525158743499064443e+09,'serving','route 1: the first','v1',NULL,NULL);
INSERT INTO "serving_events" VALUES(6,'boston',1.79525158743599653242e+09,'step','1 of 1: 100 %','v1',NULL,1);
INSERT INTO "serving_events" VALUES(7,'boston',1.79525158744698023799e+09,'done','it passed its test','v1',NULL,1);
INSERT INTO "serving_events" VALUES(8,'boston',1.79525158745699834825e+09,'loading','','v1-2',NULL,NULL);
INSERT INTO "serving_events" VALUES(9,'boston',1.79525158746500468256e+09,'ready','its golden rows came back','v1-2',NULL,NULL);
INSERT INTO "serving_events" VALUES(10,'boston',1.79525158746701622011e+09,'began','','v1-2',NULL,2);
INSERT INTO "serving_events" VALUES(11,'boston',1.79525158747301101687e+09,'taken','s1','v1-2',NULL,2);
INSERT INTO "serving_events" VALUES(12,'boston',1795251587.478,'routed','10 %',NULL,2,2);
INSERT INTO "serving_events" VALUES(13,'boston',1795251587.478,'serving','route 2: 10 %','v1-2',NULL,NULL);
INSERT INTO "serving_events" VALUES(14,'boston',1795251587.478,'step','1 of 2: 10 %','v1-2',NULL,2);
INSERT INTO "serving_events" VALUES(15,'boston',1.79526353935600066187e+09,'routed','nobody asks for it',NULL,3,NULL);
INSERT INTO "serving_events" VALUES(16,'boston',1.79526353935700654987e+09,'superseded','route 3: nobody asks for it','v1-2',NULL,2);
INSERT INTO "serving_events" VALUES(17,'boston',1.79598992204100799561e+09,'began','jo@desk','v1-2',NULL,3);
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
	results INTEGER DEFAULT 0 NOT NULL, priority INTEGER DEFAULT 0 NOT NULL, paused BOOLEAN DEFAULT 0 NOT NULL, needs TEXT DEFAULT '{}' NOT NULL, served BIGINT DEFAULT 0 NOT NULL, 
	CONSTRAINT studies_pk PRIMARY KEY (number), 
	CONSTRAINT studies_state_ck CHECK (state IN ('searching', 'finished')), 
	CONSTRAINT studies_id_uq UNIQUE (id)
);
INSERT INTO "studies" VALUES(1,'5555555555555555555555555555555555555555555555555555555555555555','boston','{"name": "boston"}','7777777777777777777777777777777777777777777777777777777777777777','{"./f.py": "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"}',3,3,60.0,1073741824,'finished',1,1.79524263781199908259e+09,1.79524263788498187059e+09,0,0,1,1,1,3,3,0,'{}',0);
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
	reason TEXT, family VARCHAR DEFAULT '' NOT NULL, checkpoint VARCHAR, 
	CONSTRAINT tasks_pk PRIMARY KEY (id), 
	CONSTRAINT tasks_kind_ck CHECK (kind IN ('trials', 'refit')), 
	CONSTRAINT tasks_state_ck CHECK (state IN ('ready', 'running', 'done', 'failed', 'withdrawn')), 
	CONSTRAINT tasks_refit_ck CHECK ((kind = 'refit') = (refit IS NOT NULL)), 
	CONSTRAINT tasks_token_ck CHECK ((state = 'running') = (token IS NOT NULL)), 
	CONSTRAINT tasks_study_fk FOREIGN KEY(study) REFERENCES studies (number)
);
INSERT INTO "tasks" VALUES(1,1,'trials','failed','[[0, "random_forest", {"max_depth": null, "leaf": 0}, null]]',NULL,3,3,0,NULL,NULL,NULL,NULL,NULL,'segmentation fault','',NULL);
INSERT INTO "tasks" VALUES(2,1,'trials','done','[[1, "random_forest", {"max_depth": null, "leaf": 1}, null], [2, "random_forest", {"max_depth": null, "leaf": 2}, null]]',NULL,1,0,0,NULL,NULL,NULL,NULL,NULL,NULL,'',NULL);
INSERT INTO "tasks" VALUES(3,1,'refit','done','[[1, "random_forest", {"max_depth": null, "leaf": 1}, null]]',1,1,0,0,NULL,NULL,NULL,NULL,'cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc',NULL,'',NULL);
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
CREATE TABLE workers (
	name VARCHAR NOT NULL, 
	host VARCHAR NOT NULL, 
	process INTEGER NOT NULL, 
	offer TEXT NOT NULL, 
	study VARCHAR, 
	used BIGINT NOT NULL, 
	started DOUBLE NOT NULL, 
	seen DOUBLE NOT NULL, 
	lease DOUBLE NOT NULL, 
	lease_ends DOUBLE NOT NULL, 
	CONSTRAINT workers_pk PRIMARY KEY (name)
);
INSERT INTO "workers" VALUES('w','here',1,'{"packages": {"xgboost": "3.1"}, "memory": 8589934592}',NULL,0,1.79594908384899806979e+09,1.79594908384899806979e+09,10.0,1.79594909384899806973e+09);
CREATE INDEX studies_name ON studies (name);
CREATE INDEX tasks_refit ON tasks (study, refit, id) WHERE kind = 'refit';
CREATE UNIQUE INDEX tasks_live_refit ON tasks (study, refit) WHERE kind = 'refit' AND state != 'failed';
CREATE INDEX tasks_running ON tasks (lease_ends) WHERE state = 'running';
CREATE INDEX tasks_of_study ON tasks (study, state, id);
CREATE INDEX judgements_rows ON judgements (model, rows);
CREATE INDEX events_study ON events (study, id);
CREATE UNIQUE INDEX deployments_running ON deployments (model) WHERE state = 'running';
CREATE INDEX serving_events_model ON serving_events (model, id);
CREATE INDEX judgements_version ON judgements (model, version, id);
CREATE INDEX serving_events_deployment ON serving_events (model, deployment, id);
CREATE INDEX tasks_ready ON tasks (study, family, id) WHERE state = 'ready';
CREATE INDEX runs_study ON runs (study, number);
CREATE INDEX scaling_decisions_autoscaler ON scaling_decisions (autoscaler, id);
CREATE INDEX requests_until ON requests (until);
CREATE INDEX requests_caller ON requests (caller, id);
CREATE INDEX fit_progress_study ON fit_progress (study, id);
CREATE INDEX fit_progress_trial ON fit_progress (study, trial, id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('outbox',2);
COMMIT;
