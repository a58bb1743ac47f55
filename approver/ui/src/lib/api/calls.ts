// Every call the dashboard makes, by name and with its types.

import { get, patch, post, remove, segment } from "./client";
import type {
  ApiToken, DecisionBody, EnrolmentToken, Flag, Histogram, Host, IssuedGrant, LoggedEvent, Login, Me,
  NewApiToken, NewEnrolmentToken, Request, RequestDetail, Role, Session, SessionPage, User,
} from "./types";

export interface RequestFilter {
  state?: string;
  kind?: string;
  host?: string;
  session?: string;
  owner?: string;
  profile?: string;
  operation_digest?: string;
  q?: string;
  limit?: number;
  cursor?: string | null;
}

type Page<Noun extends string, T> = { [key in Noun]: T[] } & { next: string | null };

export const login = (username: string, password: string) => post<Login>("/login", { username, password });
export const logout = () => post<undefined>("/logout", {});
export const me = () => get<Me>("/me");
export const changePassword = (current: string, next: string) =>
  post<undefined>("/me/password", { current, new: next });

export const requests = (filter: RequestFilter, signal?: AbortSignal) =>
  get<Page<"requests", Request>>("/requests", { ...filter }, signal);
export const request = (id: string, signal?: AbortSignal) =>
  get<RequestDetail>(`/requests/${segment(id)}`, {}, signal);
export const decide = (id: string, body: DecisionBody, key: string) =>
  post<Request>(`/requests/${segment(id)}/decision`, body, { "Idempotency-Key": key });

export const grants = (active: boolean, cursor?: string | null) =>
  get<Page<"grants", IssuedGrant>>("/grants", { active: active ? true : undefined, cursor });
export const revokeGrant = (id: string, reason: string) =>
  post<IssuedGrant>(`/grants/${segment(id)}/revoke`, { reason });
export const flags = () => get<{ flags: Flag[] }>("/flags");
export const liftFlag = (digest: string, reason: string) =>
  post<undefined>(`/flags/${segment(digest)}/lift`, { reason });

export const sessions = (filter: { host?: string; active?: boolean | undefined; cursor?: string | null }) =>
  get<Page<"sessions", Session>>("/sessions", filter);
export const session = (host: string, id: string) =>
  get<SessionPage>(`/sessions/${segment(host)}/${segment(id)}`);
export const hosts = () => get<{ hosts: Host[] }>("/hosts");
export const removeHost = (id: string) => remove(`/hosts/${segment(id)}`);

export const events = (q: string, cursor?: string | null) =>
  get<Page<"events", LoggedEvent>>("/events", { q, cursor });
export const histogram = (q: string, buckets: number) => get<Histogram>("/events/histogram", { q, buckets });

export const users = () => get<{ users: User[] }>("/users");
export const addUser = (name: string, role: Role, password: string | null) =>
  post<{ user: User; password: string | null }>("/users", { name, role, password });
export const changeRole = (name: string, role: Role) => patch<User>(`/users/${segment(name)}`, { role });
export const resetPassword = (name: string, password: string | null) =>
  post<{ password: string | null }>(`/users/${segment(name)}/password`, { password });
export const removeUser = (name: string) => remove(`/users/${segment(name)}`);

export const enrolmentTokens = () => get<{ enrolment_tokens: EnrolmentToken[] }>("/enrolment-tokens");
export const addEnrolmentToken = (label: string, valid_seconds: number) =>
  post<NewEnrolmentToken>("/enrolment-tokens", { label, valid_seconds });
export const removeEnrolmentToken = (id: string) => remove(`/enrolment-tokens/${segment(id)}`);

export const apiTokens = () => get<{ api_tokens: ApiToken[] }>("/api-tokens");
export const addApiToken = (name: string, role: Role, expires_in_seconds: number) =>
  post<NewApiToken>("/api-tokens", { name, role, expires_in_seconds });
export const removeApiToken = (id: string) => remove(`/api-tokens/${segment(id)}`);
