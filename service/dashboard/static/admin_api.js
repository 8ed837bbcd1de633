/** The calls of the public API that need a key of scope admin. */

/** @import {Send} from "./api.js" */
/** @import {AuditPage, DeliveryPage, Key, KeyCreated, Limits, Webhook, WebhookCreated} from "./types.js" */

/** @param {Send} send */
export function adminCalls(send) {
  const json = async (/** @type {Promise<Response>} */ answer) => (await answer).json();
  return {
    /** @type {(signal: AbortSignal) => Promise<Key[]>} */
    listKeys: async (signal) => (await json(send("GET", "/v1/keys?page_size=500", { signal }))).keys,
    /** @type {(key: {name: string, scope: string, expires_at?: string}) => Promise<KeyCreated>} */
    createKey: (key) => json(send("POST", "/v1/keys", { json: key })),
    /** @type {(id: string) => Promise<Response>} */
    revokeKey: (id) => send("DELETE", `/v1/keys/${encodeURIComponent(id)}`),
    /** @type {(signal: AbortSignal) => Promise<Webhook[]>} */
    listWebhooks: async (signal) => (await json(send("GET", "/v1/webhooks", { signal }))).webhooks,
    /** @type {(webhook: {url: string, event_types: string[]}) => Promise<WebhookCreated>} */
    createWebhook: (webhook) => json(send("POST", "/v1/webhooks", { json: webhook })),
    /** @type {(id: string, signal: AbortSignal) => Promise<DeliveryPage>} */
    listDeliveries: (id, signal) => json(send("GET", `/v1/webhooks/${encodeURIComponent(id)}/deliveries?page_size=50`, { signal })),
    /** @type {(id: string, from: {study_id: string, after_sequence: number}) => Promise<Response>} */
    replayWebhook: (id, from) => send("POST", `/v1/webhooks/${encodeURIComponent(id)}:replay`, { json: from }),
    /** @type {(id: string) => Promise<Response>} */
    deleteWebhook: (id) => send("DELETE", `/v1/webhooks/${encodeURIComponent(id)}`),
    /** @type {(signal: AbortSignal) => Promise<Limits>} */
    getLimits: (signal) => json(send("GET", "/v1/limits", { signal })),
    /** @type {(token: string | null, signal: AbortSignal) => Promise<AuditPage>} */
    listAuditEvents: (token, signal) =>
      json(send("GET", `/v1/audit_events?page_size=50${token === null ? "" : `&page_token=${token}`}`, { signal })),
  };
}
