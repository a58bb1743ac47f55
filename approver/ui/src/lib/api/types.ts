// The approver's REST API, as far as the dashboard uses it: what docs/openapi.json
// says, with its names. What is absent is null. Types only.

/** Bytes of a process: text where they are UTF-8. */
export type Bytes = string | { base64: string };

export type Role = "viewer" | "reviewer" | "administrator";

export interface Me {
  username: string;
  role: Role;
  /** Null for a caller without a cookie, which a browser never is. */
  csrf_token: string | null;
  expires_at: string;
  via: "cookie" | "token" | "api-token";
}

export interface Login {
  me: Me;
  csrf_token: string;
  expires_at: string;
}

export type State = "pending" | "approved" | "denied" | "flagged" | "expired" | "withdrawn";
export type Verdict = "approve" | "deny" | "flag";
export type Risk = "low" | "medium" | "high" | "critical";
export type Scope = "process" | "session";

export interface HostName {
  id: string;
  hostname: string;
}

export interface SessionName {
  id: string;
  profile: string;
  owner: string;
  uid: number;
  user: string;
}

export interface Rule {
  name: string;
  justification: string;
  risk: Risk | null;
  grants: Scope[];
  max_ttl_seconds: number | null;
  policy_sha256: string | null;
}

export interface FileIdentity {
  device: string;
  inode: string;
  generation: number;
  changed_at: string | null;
  size: string;
}

export interface Variable {
  name: Bytes;
  value: Bytes;
  redacted: boolean;
}

export interface Exec {
  path: Bytes;
  path_is_hosts: boolean;
  file: FileIdentity | null;
  argv: Bytes[];
  environment_sha256: string;
  content_sha256: string | null;
  environment: Variable[];
}

export interface Connect {
  address: string | null;
  port: number;
  protocol: number;
  protocol_name: string | null;
  network_namespace: number;
  scope_id: number;
  /** Set if it goes to a local (unix) socket. */
  local: LocalSocket | null;
  /** Who answers, of a connection within the host. */
  listener: Listener | null;
}

export interface LocalSocket {
  /** A path, or with a NUL before it a name of the abstract kind. */
  name: Bytes;
  name_is_hosts: boolean;
  socket_type: number;
  uid: number;
}

export interface Listener {
  pid: number;
  uid: number;
  executable: Bytes;
  executable_is_hosts: boolean;
}

export type Operation = { exec: Exec; connect?: never } | { connect: Connect; exec?: never };

export interface Process {
  pid: number;
  tid: number;
  start_time_ns: string;
  uid: number;
  gid: number;
  executable: Bytes;
  cwd: Bytes;
  argv: Bytes[];
  argv_cut: boolean;
}

/** What a decision gave beyond the operation that was held. */
export interface DecidedGrant {
  id: string;
  scope: Scope;
  ttl_seconds: number;
  expires_at: string;
  max_uses: number | null;
}

export interface Decision {
  verdict: Verdict;
  reviewer: string;
  reason: string;
  decided_at: string;
  grant: DecidedGrant | null;
}

export interface Request {
  id: string;
  revision: string;
  digest: string;
  operation_digest: string | null;
  state: State;
  created_at: string;
  deadline: string;
  host: HostName;
  session: SessionName | null;
  rule: Rule | null;
  operation: Operation | null;
  process: Process | null;
  ancestry: Process[];
  decision: Decision | null;
  outcome: "released" | "refused" | "gone" | null;
  outcome_detail: string;
  may_decide: boolean;
  may_not_because: "own-request" | "role" | "not-pending" | null;
}

export interface Earlier {
  request_id: string;
  verdict: Verdict;
  reviewer: string;
  reason: string;
  decided_at: string;
  hostname: string;
}

export type RequestDetail = Request & { earlier: Earlier[] };

export interface WishedGrant {
  scope: Scope;
  ttl_seconds: number;
  max_uses: number | null;
}

export interface DecisionBody {
  verdict: Verdict;
  reason: string;
  digest: string;
  /** Absent: once. */
  grant?: WishedGrant;
}

export interface IssuedGrant {
  id: string;
  scope: Scope;
  ttl_seconds: number;
  expires_at: string;
  max_uses: number | null;
  /** As far as the host has told. */
  uses: string;
  state: "active" | "ended" | "revoking" | "revoked";
  request_id: string;
  host: HostName;
  session: SessionName;
  operation: Operation | null;
  reviewer: string;
  issued_at: string;
  revoked_by: string | null;
}

export interface Flag {
  operation_digest: string;
  operation: Operation | null;
  request_id: string;
  reviewer: string;
  reason: string;
  flagged_at: string;
}

export interface Session {
  id: string;
  host: HostName;
  profile: string;
  owner: string;
  user: string;
  uid: number;
  started_at: string;
  ended_at: string | null;
  last_seen_at: string;
  pending: number;
  requests: number;
}

export interface ProcessKey {
  pid: number;
  start_time_ns: string;
}

export interface SessionProcess extends ProcessKey {
  parent: ProcessKey | null;
  executable: Bytes;
  argv: Bytes[];
  argv_cut: boolean;
  uid: number;
  first_seen: string;
  last_seen: string;
  /** True once its session is over. */
  ended: boolean;
}

export interface SessionPage {
  session: Session;
  processes: SessionProcess[];
  /** The newest. */
  requests: Request[];
}

export interface Host {
  id: string;
  hostname: string;
  connected: boolean;
  enforcing: boolean;
  not_enforcing_because: string | null;
  /** This and the next two are empty until it has connected once. */
  version: string;
  kernel_release: string;
  boot_id: string;
  enrolled_at: string;
  last_seen_at: string | null;
  certificate_expires_at: string;
  revoked_at: string | null;
  policies: { profile: string; owner: string; policy_sha256: string | null }[];
  events: { last_sequence: string; gaps: string };
}

/** One OCSF object. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type EventRecord = { [key: string]: Json };

export interface LoggedEvent {
  log_index: string;
  record: EventRecord;
}

export interface Bucket {
  start: string;
  allowed: number;
  held: number;
  released: number;
  denied: number;
  other: number;
}

export interface Histogram {
  from: string;
  to: string;
  bucket_seconds: number;
  buckets: Bucket[];
}

export interface User {
  name: string;
  role: Role;
  created_at: string;
}

export interface EnrolmentToken {
  id: string;
  label: string;
  state: "unused" | "used" | "expired";
  created_at: string;
  expires_at: string;
  used_at: string | null;
  host_id: string | null;
}

/** The secret is in `token` and `command`, this once. */
export interface NewEnrolmentToken {
  id: string;
  label: string;
  expires_at: string;
  token: string;
  command: string;
}

export interface ApiToken {
  id: string;
  name: string;
  role: Role;
  created_at: string;
  expires_at: string;
}

/** The secret is in `token`, this once. */
export interface NewApiToken {
  id: string;
  name: string;
  role: Role;
  expires_at: string;
  token: string;
}

export interface ProblemBody {
  title?: string;
  status?: number;
  detail?: string;
  code?: string;
  mend?: string;
  request?: Request;
}
