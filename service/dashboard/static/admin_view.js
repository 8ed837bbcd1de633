/** Administer: keys, webhooks, limits and the audit log of a tenant, for keys of scope admin. */

import { ApiProblem } from "./api.js";
import { cardedTable } from "./carded_table.js";
import { find, fromTemplate, make, named } from "./elements.js";
import { formatBytes, formatCount, formatMoment } from "./format.js";
import { readPages } from "./pages.js";
import { startPolling } from "./polling.js";
import { askFirst } from "./question.js";
import { showRefusals } from "./refusals.js";
import { tagsIn } from "./study_actions.js";
import { offerTable } from "./take_out.js";
import { showLoading, showNotAllowed } from "./waiting.js";
import { deliveryTable, webhookTable } from "./webhook_tables.js";

/** @import {Api} from "./api.js" */
/** @import {Frame} from "./main.js" */
/** @import {AuditEvent, Delivery, Key, Limit, Limits, Webhook} from "./types.js" */

/**
 * Show the page until the function that this returns is called.
 * @param {HTMLElement} root
 * @param {Api} api
 * @param {Frame} frame
 */
export function showAdmin(root, api, frame) {
  const view = fromTemplate("admin");
  /** @type {AuditEvent[]} */
  let events = [];
  let pages = 1;
  /** The webhook whose deliveries are shown. */
  let looked = "";

  async function load(/** @type {AbortSignal} */ signal) {
    const [keys, webhooks, limits, audit] = await Promise.all([
      api.listKeys(signal),
      api.listWebhooks(signal),
      api.getLimits(signal),
      readPages(pages, (token) => api.listAuditEvents(token, signal)),
    ]);
    events = audit.pages.flatMap((page) => page.audit_events);
    const shown = webhooks.find(({ id }) => id === looked);
    const deliveries = shown === undefined ? null : await api.listDeliveries(shown.id, signal);
    const names = new Map(keys.map(({ id, name }) => [id, name]));
    named(view, "keys").replaceChildren(keyTable(keys, revoke));
    named(view, "webhooks").replaceChildren(webhookTable(webhooks, { show: showDeliveries, remove: removeWebhook }));
    named(view, "deliveries").hidden = deliveries === null;
    if (shown && deliveries) {
      const sendAgain = (/** @type {Delivery} */ delivery) => replay(shown, delivery);
      named(view, "deliveries").replaceChildren(...deliveryTable(shown, deliveries, sendAgain));
    }
    named(view, "limits").replaceChildren(limitTable(limits));
    named(view, "audit").replaceChildren(auditTable(events, names));
    named(view, "older-audit").hidden = !audit.more;
    if (!view.isConnected) root.replaceChildren(view);
    document.title = "Administer · Paretune";
    frame.settled("");
    return true;
  }

  const polling = startPolling(load, (error) => {
    if (!(error instanceof ApiProblem) || error.status !== 403) return frame.failed(error);
    showNotAllowed(root, error.message);
    return true;
  });

  /** Do what was asked for, and show what came of it. */
  async function after(/** @type {Promise<any>} */ change) {
    try {
      await change;
    } catch (error) {
      frame.refused(error);
    }
    await polling.again();
  }

  async function revoke(/** @type {Key} */ { id, name }) {
    const isMeant = await askFirst({
      title: `Revoke “${name}”?`,
      text: "Whoever uses it is turned away from then on. This cannot be undone.",
      yes: "Revoke the key",
      no: "Keep it",
    });
    if (isMeant) await after(api.revokeKey(id));
  }

  async function removeWebhook(/** @type {Webhook} */ { id, url }) {
    const isMeant = await askFirst({
      title: "Delete this webhook?",
      text: `${url} gets no further events, and what waits for it is dropped.`,
      yes: "Delete the webhook",
      no: "Keep it",
    });
    if (isMeant) await after(api.deleteWebhook(id));
  }

  async function showDeliveries(/** @type {Webhook} */ { id }) {
    looked = id;
    await polling.again();
    const title = /** @type {HTMLElement | null} */ (view.querySelector("[data-testid=deliveries] h3"));
    title?.focus();
  }

  async function replay(/** @type {Webhook} */ { id, url }, /** @type {Delivery} */ { study_id, sequence }) {
    const isMeant = await askFirst({
      title: "Send again from this event on?",
      text: `${url} gets event ${sequence} of the study and all after it once more, also those that have arrived.`,
      yes: "Send again",
      no: "Leave it",
    });
    if (isMeant) await after(api.replayWebhook(id, { study_id, after_sequence: sequence - 1 }));
  }

  createByForm(view, "key", () => {
    const until = named(view, "key-expires").value;
    return api.createKey({
      name: named(view, "key-name").value.trim(),
      scope: named(view, "key-scope").value,
      ...(until ? { expires_at: `${until}T23:59:59Z` } : {}),
    });
  });
  createByForm(view, "webhook", () =>
    api.createWebhook({
      url: named(view, "webhook-url").value.trim(),
      event_types: tagsIn(named(view, "webhook-events").value),
    }),
  );

  /**
   * @param {HTMLElement} box
   * @param {"key" | "webhook"} what
   * @param {() => Promise<{secret: string | null}>} create
   */
  function createByForm(box, what, create) {
    const form = named(box, `${what}-create`);
    const refused = named(box, `${what}-refused`);
    form.addEventListener("submit", async (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      const button = find(form, "button");
      button.disabled = true;
      try {
        const { secret } = await create();
        showRefusals(form, refused, []);
        form.reset();
        showSecret(named(box, `${what}-secret`), secret);
        await polling.again();
      } catch (error) {
        if (error instanceof ApiProblem && error.status === 422) {
          const errors = error.errors.length ? error.errors : [{ pointer: "", detail: error.message }];
          showRefusals(form, refused, errors);
        } else frame.refused(error);
      }
      button.disabled = false;
    });
  }

  offerTable(named(view, "take-audit"), "audit log", () => "paretune", () =>
    events.map(({ body, ...event }) => ({ ...event, body: JSON.stringify(body) })),
  );
  named(view, "older-audit").addEventListener("click", () => {
    pages += 1;
    polling.again();
  });
  showLoading(root, "keys, webhooks and the audit log");
  return polling.stop;
}

/**
 * @param {HTMLElement} box
 * @param {string | null} secret
 */
function showSecret(box, secret) {
  const done = make("button", { type: "button" }, "I have kept it");
  const field = make("input", { readonly: true, value: secret ?? "", "aria-label": "Secret", "data-testid": "secret" });
  done.addEventListener("click", () => {
    box.hidden = true;
    box.replaceChildren();
  });
  box.hidden = false;
  box.replaceChildren(make("p", {}, "This is shown once. Copy it now; it cannot be read again."), field, done);
  field.select();
}

/**
 * @param {Key[]} keys
 * @param {(key: Key) => void} revoke
 */
function keyTable(keys, revoke) {
  return cardedTable("API keys", ["Name", "Scope", "Made", "Last used", "Valid until", ""], keys.map((key) => {
    const isOver = key.revoked_at !== null;
    const button = make("button", { type: "button", class: "quiet", "aria-label": `Revoke: ${key.name}` }, "Revoke");
    button.addEventListener("click", () => revoke(key));
    return [
      key.name,
      key.scope,
      formatMoment(key.created_at),
      key.last_used_at === null ? "never" : formatMoment(key.last_used_at),
      isOver ? `revoked ${formatMoment(key.revoked_at)}` : key.expires_at === null ? "no end" : formatMoment(key.expires_at),
      isOver ? "" : button,
    ];
  }));
}

/** @param {Limits} limits */
function limitTable({ active_studies, running_trials, artifact_bytes }) {
  const row = (/** @type {string} */ what, /** @type {Limit} */ { used, limit }, write = formatCount) => [
    what,
    write(used),
    limit === null ? "no limit" : write(limit),
  ];
  return cardedTable("Limits", ["What", "In use", "Limit"], [
    row("Active studies", active_studies),
    row("Running trials", running_trials),
    row("Artifacts and uploads", artifact_bytes, formatBytes),
  ]);
}

/**
 * @param {AuditEvent[]} events
 * @param {Map<string, string>} names of keys
 */
function auditTable(events, names) {
  return cardedTable("Audit log", ["When", "What", "Subject", "By", "Details"], events.map((event) => [
    formatMoment(event.recorded_at),
    event.type,
    event.subject,
    event.key_id === null ? "the operator" : (names.get(event.key_id) ?? event.key_id),
    Object.entries(event.body).map(([name, value]) => `${name}: ${value}`).join(", "),
  ]));
}
