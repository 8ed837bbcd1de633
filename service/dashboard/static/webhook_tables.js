/** The webhooks of a tenant, and one by one what each of them has not got. Asks for nothing, sends nothing. */

import { cardedTable } from "./carded_table.js";
import { hint, make } from "./elements.js";
import { counted, formatCount, formatMoment } from "./format.js";

/** @import {Delivery, DeliveryPage, Webhook} from "./types.js" */

/**
 * @param {Webhook[]} webhooks
 * @param {{show: (webhook: Webhook) => void, remove: (webhook: Webhook) => void}} actions
 */
export function webhookTable(webhooks, { show, remove }) {
  if (!webhooks.length) return hint("No webhook yet: no event is sent anywhere.");
  return cardedTable("Webhooks", ["URL", "Events", "Waiting", "Given up", "Last error", ""], webhooks.map((webhook) => {
    const { url, event_types, waiting, given_up, last_error, disabled_at } = webhook;
    return [
      disabled_at === null ? url : `${url} (disabled: its receiver is gone)`,
      event_types.join(", ") || "all",
      formatCount(waiting),
      formatCount(given_up),
      last_error ?? "none",
      make("span", { class: "verbs" },
        quiet("Deliveries", `Deliveries: ${url}`, () => show(webhook)),
        quiet("Delete", `Delete: ${url}`, () => remove(webhook)),
      ),
    ];
  }));
}

/**
 * What a webhook has not got; what has arrived is not kept.
 * @param {Webhook} webhook
 * @param {DeliveryPage} page
 * @param {(delivery: Delivery) => void} sendAgain
 * @returns {HTMLElement[]}
 */
export function deliveryTable(webhook, { deliveries, next_page_token }, sendAgain) {
  const title = make("h3", { tabindex: -1 }, `Not delivered to ${webhook.url}`);
  if (!deliveries.length) {
    return [title, hint("Everything that was sent to it has arrived. The server does not keep what has arrived.")];
  }
  const rows = deliveries.map((delivery) => {
    const { study_id, sequence, type, recorded_at, attempts } = delivery;
    return [
      formatMoment(recorded_at),
      `${type}, number ${sequence}`,
      make("a", { href: `#study=${study_id}` }, study_id),
      statusOf(webhook, delivery),
      formatCount(attempts),
      webhook.disabled_at === null
        ? quiet("Send again", `Send again from event ${sequence} of ${study_id}`, () => sendAgain(delivery))
        : "",
    ];
  });
  const parts = [title, cardedTable("Not delivered", ["When", "Event", "Study", "Status", "Attempts", ""], rows)];
  if (webhook.last_error !== null) parts.splice(1, 0, hint(`The last attempt of all failed: ${webhook.last_error}`));
  if (next_page_token !== null) parts.push(hint(`The latest ${counted(deliveries.length, "delivery", "deliveries")}; the API has all.`));
  return parts;
}

/**
 * @param {Webhook} webhook
 * @param {Delivery} delivery
 */
function statusOf({ disabled_at }, { attempts, next_attempt_at }) {
  if (next_attempt_at === null) return "given up";
  if (disabled_at !== null) return "kept back: the webhook is disabled";
  return attempts === 0 ? "about to be sent" : `failed, next attempt ${formatMoment(next_attempt_at)}`;
}

/**
 * @param {string} text
 * @param {string} label
 * @param {() => void} onClick
 */
function quiet(text, label, onClick) {
  const button = make("button", { type: "button", class: "quiet", "aria-label": label }, text);
  button.addEventListener("click", onClick);
  return button;
}
