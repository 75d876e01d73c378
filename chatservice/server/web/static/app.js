// The page: what is shown of the chat, and where.

import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { LogView } from "./log.js";
import { Side } from "./side.js";
import { element } from "./text.js";
import { words } from "./words.js";

const $ = (id) => document.getElementById(id);
const NARROW = matchMedia("(max-width: 720px)");

class View {
  constructor() {
    this.chat = new Chat(this);
    this.log = new LogView(this.chat);
    this.composer = new Composer(this.chat);
    this.side = new Side(this.chat, () => this.chosen());
    this.wire();
    const { remembered } = this.chat;
    if (remembered?.token) this.chat.link.start();
    else this.entrance(remembered?.name ?? "", "", false);
  }

  wire() {
    $("login").addEventListener("submit", (event) => {
      event.preventDefault();
      $("login-error").textContent = "";
      this.chat.login($("name").value.trim(), $("password-part").hidden ? "" : $("password").value);
      $("password").value = "";
    });
    $("with-password").addEventListener("click", () => this.askPassword());
    $("leave").addEventListener("click", () => this.chat.leave());
    $("menu").addEventListener("click", () => this.toggleMenu());
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.toggleMenu(false);
    });
    $("talk").addEventListener("click", (event) => {
      if (!$("menu").contains(event.target)) this.toggleMenu(false);
    });
    addEventListener("focus", () => this.looked());
    document.addEventListener("visibilitychange", () => this.looked());
    setInterval(() => this.typing(), 1_000);
    this.wireNotifications();
    // Where the keyboard of a telephone covers the page instead of making it smaller.
    const { visualViewport: seen } = window;
    seen?.addEventListener("resize", () => {
      const isCovered = innerHeight - seen.height > 80;
      $("chat").style.bottom = isCovered ? `${innerHeight - seen.height}px` : "";
    });
  }

  wireNotifications() {
    const button = $("notify");
    if (!isSecureContext || !("Notification" in window)) return;
    button.hidden = false;
    const show = (on) => {
      this.notifies = on;
      button.setAttribute("aria-pressed", String(on));
      button.textContent = on ? words.notifyOn : words.notifyOff;
    };
    show(Notification.permission === "granted" && sessionStorage.getItem("notify") === "yes");
    button.addEventListener("click", async () => {
      const on = !this.notifies && (await Notification.requestPermission()) === "granted";
      sessionStorage.setItem("notify", on ? "yes" : "no");
      show(on);
    });
  }

  // The entrance

  entrance(name, message, needsPassword) {
    $("chat").hidden = true;
    $("entrance").hidden = false;
    document.title = "Chat";
    if (name) $("name").value = name;
    $("login-error").textContent = message;
    if (needsPassword) this.askPassword();
    else $("name").focus();
  }

  askPassword() {
    $("password-part").hidden = false;
    $("with-password").hidden = true;
    $("password").focus();
  }

  // What a dialog gives: the present password, a new one, or nothing.
  askSecret(title, { old = false, new: fresh = false }) {
    const dialog = $("secret");
    $("secret-title").textContent = title;
    $("secret-name").value = this.chat.name;
    $("old-part").hidden = !old;
    $("new-part").hidden = !fresh;
    $("old-secret").value = $("new-secret").value = "";
    dialog.returnValue = "";
    dialog.showModal();
    (old ? $("old-secret") : $("new-secret")).focus();
    return new Promise((resolve) => {
      dialog.addEventListener(
        "close",
        () => {
          const given = { old: $("old-secret").value, new: $("new-secret").value };
          $("old-secret").value = $("new-secret").value = "";
          resolve(dialog.returnValue === "done" ? given : undefined);
        },
        { once: true },
      );
    });
  }

  enter() {
    const wasOutside = $("chat").hidden;
    $("entrance").hidden = true;
    $("chat").hidden = false;
    $("login-error").textContent = "";
    if (wasOutside && !NARROW.matches) $("line").focus();
  }

  // What the chat tells

  opened(conversation) {
    $("title").textContent = conversation.name;
    $("topic").textContent = conversation.topic;
    $("topic").title = conversation.topic;
    this.log.show(conversation);
    this.composer.show(conversation);
    this.typing();
    this.looked();
  }

  added(conversation) {
    this.log.added(conversation);
    this.listsSoon();
  }

  prepended(conversation, count) {
    this.log.prepended(conversation, count);
  }

  trimmed(conversation, count) {
    this.log.trimmed(conversation, count);
  }

  mayTrim(conversation, count) {
    return this.log.mayTrim(conversation, count);
  }

  replaced(conversation) {
    this.log.replaced(conversation);
  }

  outbox() {
    this.log.outbox();
  }

  error(message) {
    if ($("chat").hidden) $("login-error").textContent = message;
    else this.composer.fail(message);
  }

  status(text) {
    clearInterval(this.counting);
    $("status").replaceChildren(text);
    $("login-error").textContent = text;
    if (!text) $("login-error").textContent = "";
  }

  waiting(pause) {
    const until = Date.now() + pause;
    const button = element("button", "quiet", words.retry);
    button.type = "button";
    button.addEventListener("click", () => this.chat.link.retry());
    const text = document.createTextNode("");
    const show = () => {
      text.data = words.lost(Math.max(0, Math.round((until - Date.now()) / 1000)));
      if ($("chat").hidden) $("login-error").textContent = text.data;
    };
    this.status("");
    show();
    this.counting = setInterval(show, 1_000);
    $("status").replaceChildren(text, button);
  }

  takenOver() {
    const button = element("button", "quiet", words.takeBack);
    button.type = "button";
    button.addEventListener("click", () => this.chat.link.start());
    this.status("");
    $("status").replaceChildren(words.elsewhere, button);
  }

  typing() {
    const conversation = this.chat.current;
    const now = Date.now();
    for (const [name, until] of conversation.typing) {
      if (until < now) conversation.typing.delete(name);
    }
    const names = [...conversation.typing.keys()];
    const text = names.length ? words.writing(names) : "";
    if ($("typing").textContent !== text) $("typing").textContent = text;
  }

  // Many events come at once: the lists are drawn once.
  lists() {
    this.listsSoon();
  }

  listsSoon() {
    if (this.listsDue) return;
    this.listsDue = setTimeout(() => {
      this.listsDue = undefined;
      this.side.show();
      this.totals();
    }, 50);
  }

  totals() {
    const conversations = [...this.chat.conversations.values()];
    const unread = conversations.reduce((sum, one) => sum + one.unread, 0);
    const elsewhere = unread - this.chat.current.unread;
    if (!$("chat").hidden) {
      document.title = words.title(this.chat.current.name, unread);
      $("topic").textContent = this.chat.current.topic;
    }
    $("elsewhere").hidden = !elsewhere;
    $("elsewhere").textContent = elsewhere;
    this.log.showJump();
  }

  // Whether somebody sees what comes into a conversation.
  isReading(conversation) {
    return (
      conversation === this.chat.current && this.log.following &&
      document.visibilityState === "visible" && document.hasFocus()
    );
  }

  looked() {
    if (this.log.conversation && this.isReading(this.chat.current)) this.chat.read(this.chat.current);
  }

  alert(conversation, line) {
    if (!this.notifies || !line.mention || (document.hasFocus() && conversation === this.chat.current)) return;
    const title = conversation.room ? words.mentioned(line.from, conversation.room) : words.wrote(line.from);
    const notification = new Notification(title, { body: line.text, tag: conversation.key, icon: "./icon.svg" });
    notification.onclick = () => {
      window.focus();
      this.chat.open(conversation.key);
    };
  }

  // The menu of a narrow page

  toggleMenu(open = !$("chat").classList.contains("menu-open")) {
    const wasOpen = $("chat").classList.contains("menu-open");
    if (wasOpen === open) return;
    $("chat").classList.toggle("menu-open", open);
    $("menu").setAttribute("aria-expanded", String(open));
    if (open && NARROW.matches) $("side").querySelector("button")?.focus();
    else if (wasOpen && NARROW.matches) $("menu").focus();
  }

  chosen() {
    this.toggleMenu(false);
    if (!NARROW.matches) $("line").focus();
  }
}

new View();
