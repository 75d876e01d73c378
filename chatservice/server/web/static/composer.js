// The line that one writes in.

import { COMMANDS, holdsPassword, obey } from "./commands.js";
import { words } from "./words.js";

const REMEMBERED = 50; // lines that Up brings back

export class Composer {
  constructor(chat) {
    this.chat = chat;
    this.form = document.getElementById("composer");
    this.line = document.getElementById("line");
    this.error = document.getElementById("error");
    this.history = [];
    this.at = 0; // in the history; its end: what is being written
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.line.addEventListener("keydown", (event) => this.pressed(event));
    this.line.addEventListener("input", () => this.typed());
  }

  show(conversation) {
    this.conversation = conversation;
    this.line.value = this.chat.draft(conversation);
    this.at = this.history.length;
    this.fail("");
    this.grow();
  }

  fail(message) {
    this.error.textContent = message;
  }

  typed() {
    this.completing = undefined;
    this.at = this.history.length;
    this.fail("");
    this.grow();
    this.chat.keepDraft(this.conversation, holdsPassword(this.line.value) ? "" : this.line.value);
    const isSaying = this.line.value.trim() && !this.line.value.trimStart().startsWith("/");
    this.chat.writing(this.conversation, Boolean(isSaying));
  }

  grow() {
    this.line.style.height = "auto";
    this.line.style.height = `${this.line.scrollHeight + 2}px`;
  }

  set(text) {
    this.line.value = text;
    this.line.setSelectionRange(text.length, text.length);
    this.grow();
    this.chat.keepDraft(this.conversation, text);
  }

  pressed(event) {
    // An input method's Enter chooses a word. (Safari says so by 229 only.)
    if (event.isComposing || event.keyCode === 229) return;
    const { value, selectionStart: caret, selectionEnd } = this.line;
    if (event.key === "Enter" && !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey) {
      event.preventDefault();
      this.send();
    } else if (event.key === "Tab" && !event.shiftKey && caret === selectionEnd && this.complete(value, caret)) {
      event.preventDefault();
    } else if (event.key === "ArrowUp" && !value.slice(0, caret).includes("\n") && (!value || this.at < this.history.length)) {
      if (this.at > 0) {
        event.preventDefault();
        this.recall(this.at - 1);
      }
    } else if (event.key === "ArrowDown" && this.at < this.history.length && !value.slice(caret).includes("\n")) {
      event.preventDefault();
      this.recall(this.at + 1);
    }
  }

  recall(at) {
    this.set(this.history[at] ?? "");
    this.at = at;
  }

  // Tab completes a command, or a name; again, the next one.
  complete(value, caret) {
    if (!this.completing || this.completing.value !== value) {
      const word = /[^\s]*$/u.exec(value.slice(0, caret))[0];
      if (!word) return false;
      const start = caret - word.length;
      const isCommand = start === 0 && word.startsWith("/");
      const candidates = isCommand
        ? COMMANDS.map(({ name }) => `/${name}`)
        : [...new Set([...this.conversation.people, ...this.chat.conversations.get("lobby").people])];
      const wanted = word.toLowerCase();
      const fitting = candidates.filter((one) => one.toLowerCase().startsWith(wanted)).sort();
      if (!fitting.length) return false;
      const suffix = !isCommand && start === 0 ? ": " : " ";
      this.completing = { fitting, suffix, start, rest: value.slice(caret), next: 0 };
    }
    const { fitting, suffix, start, rest, next } = this.completing;
    const completed = fitting[next % fitting.length] + suffix;
    this.line.value = value.slice(0, start) + completed + rest;
    this.line.setSelectionRange(start + completed.length, start + completed.length);
    this.completing.next = next + 1;
    this.completing.value = this.line.value;
    this.chat.keepDraft(this.conversation, this.line.value);
    return true;
  }

  async send() {
    const { value } = this.line;
    const lines = value.split("\n").filter((line) => line.trim());
    this.line.focus();
    if (!lines.length) return;
    const { conversation } = this;
    this.fail("");
    try {
      if (lines.length > 1) {
        for (const line of lines) this.chat.say(conversation, line); // also one that begins with a slash
      } else {
        const done = obey(this.chat, conversation, lines[0]);
        this.set("");
        await done;
      }
      if (lines.length > 1) this.set("");
      if (!holdsPassword(value)) this.remember(value);
    } catch (error) {
      if (this.conversation === conversation && !this.line.value && !holdsPassword(value)) this.set(value);
      this.fail(error.message ? words.sentence(error.message) : words.problem);
    }
    this.chat.writing(conversation, false);
  }

  remember(line) {
    if (this.history.at(-1) !== line) this.history.push(line);
    this.history.splice(0, this.history.length - REMEMBERED);
    this.at = this.history.length;
  }
}
