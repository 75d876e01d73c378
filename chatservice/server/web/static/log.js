// The lines of one conversation. A window of them is in the document; the rest is in the model.

import { colourOf, dayOf, element, fullTimeOf, timeOf, withLinks } from "./text.js";
import { words } from "./words.js";

const WINDOW = 120; // lines that are shown at first
const STEP = 80; // more of them, when one scrolls there
const MOST = 320;
const NEAR = 300; // pixels from an end, where more is wanted
const AT_END = 48;
const TOGETHER = 5 * 60_000; // milliseconds between lines that have one heading

export class LogView {
  constructor(chat) {
    this.chat = chat;
    this.log = document.getElementById("log");
    this.past = document.getElementById("past");
    this.live = document.getElementById("live");
    this.outboxList = document.getElementById("outbox");
    this.jump = document.getElementById("jump");
    this.first = this.end = 0; // the window: lines[first..end)
    this.following = true;
    this.log.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.jump.addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => this.following && this.stick()).observe(this.log);
  }

  show(conversation) {
    if (this.conversation) this.conversation.scroll = this.following ? undefined : this.anchor();
    this.conversation = conversation;
    const { lines, scroll } = conversation;
    const at = scroll ? lines.indexOf(scroll.line) : -1;
    if (at >= 0) {
      this.render(Math.max(0, at - STEP), Math.min(lines.length, at + WINDOW));
      this.following = false;
      this.restore(scroll);
    } else {
      this.toEnd();
    }
    this.outbox();
  }

  get lines() {
    return this.conversation.lines;
  }

  added(conversation) {
    if (conversation !== this.conversation || this.due) return;
    this.due = true;
    const flush = () => {
      this.due = false;
      this.flush();
    };
    if (document.hidden) setTimeout(flush, 50);
    else requestAnimationFrame(flush);
  }

  flush() {
    const { lines } = this;
    const count = lines.length - this.end;
    if (count <= 0) {
      this.showJump();
      return;
    }
    if (this.following && count > WINDOW) {
      this.toEnd();
      return;
    }
    if (this.following || this.end - this.first + count <= MOST) {
      const fragment = document.createDocumentFragment();
      for (let index = this.end; index < lines.length; index += 1) this.put(fragment, index);
      this.live.append(fragment);
      this.end = lines.length;
      this.dropSurplus();
    }
    if (this.following) this.stick();
    this.showJump();
  }

  // Keep the number of nodes bounded while lines come in.
  dropSurplus() {
    while (this.following && this.end - this.first > MOST) {
      const box = this.past.firstChild ? this.past : this.live;
      while (box.firstChild && !box.firstChild.line) box.firstChild.remove();
      box.firstChild?.remove();
      this.first += 1;
    }
  }

  prepended(conversation, count) {
    if (conversation !== this.conversation) return;
    const anchor = this.following ? undefined : this.anchor();
    this.first += count;
    this.end += count;
    if (this.following) {
      this.toEnd();
      return;
    }
    this.render(Math.max(0, this.first - Math.min(count, STEP)), Math.min(this.end, this.first + MOST - STEP));
    this.restore(anchor);
    this.showJump();
  }

  trimmed(conversation, count) {
    if (conversation !== this.conversation) return;
    this.first = Math.max(0, this.first - count);
    this.end = Math.max(0, this.end - count);
  }

  // How many of the oldest lines nobody looks at.
  mayTrim(conversation, count) {
    return conversation !== this.conversation || this.due || this.first >= count;
  }

  replaced(conversation) {
    if (conversation !== this.conversation) return;
    const anchor = this.following ? undefined : this.anchor();
    const { length } = this.lines;
    this.render(Math.min(this.first, length), Math.min(this.end, length));
    if (anchor) this.restore(anchor);
    else this.stick();
  }

  toEnd() {
    const { length } = this.lines;
    this.following = true;
    this.render(Math.max(0, length - WINDOW), length);
    this.stick();
    this.showJump();
    this.chat.read(this.conversation);
  }

  stick() {
    this.log.scrollTop = this.log.scrollHeight;
  }

  scrolled() {
    if (!this.conversation) return;
    const { scrollTop, scrollHeight, clientHeight } = this.log;
    const below = scrollHeight - scrollTop - clientHeight;
    const { length } = this.lines;
    this.following = below < AT_END && (this.end >= length || Boolean(this.due));
    if (scrollTop < NEAR) {
      if (this.first > 0) this.widen(Math.max(0, this.first - STEP), this.end);
      else this.chat.older(this.conversation);
    } else if (below < NEAR && this.end < length) {
      this.widen(this.first, Math.min(length, this.end + STEP));
    }
    if (this.following && document.hasFocus()) this.chat.read(this.conversation);
    this.showJump();
  }

  widen(first, end) {
    const anchor = this.anchor();
    if (first < this.first) this.render(first, Math.min(end, first + MOST));
    else this.render(Math.max(first, end - MOST), end);
    this.restore(anchor);
  }

  // The line at the top of what is seen, and where it is.
  anchor() {
    const top = this.log.getBoundingClientRect().top;
    for (const box of [this.past, this.live]) {
      for (const node of box.children) {
        const bounds = node.getBoundingClientRect();
        if (node.line && bounds.bottom > top) return { line: node.line, offset: bounds.top - top };
      }
    }
    return undefined;
  }

  restore(anchor) {
    const node = anchor && [...this.past.children].find((child) => child.line === anchor.line);
    if (!node) return;
    const top = this.log.getBoundingClientRect().top;
    this.log.scrollTop += node.getBoundingClientRect().top - top - anchor.offset;
  }

  // All that was there before is outside of what a screen reader announces.
  render(first, end) {
    this.first = first;
    this.end = end;
    const fragment = document.createDocumentFragment();
    for (let index = first; index < end; index += 1) this.put(fragment, index);
    this.past.replaceChildren(fragment);
    this.live.replaceChildren();
  }

  put(parent, index) {
    const line = this.lines[index];
    const before = this.lines[index - 1];
    const isNewDay = !before || before.at.toDateString() !== line.at.toDateString();
    if (isNewDay) parent.append(element("p", "divider", dayOf(line.at)));
    const isFresh = line === this.conversation.freshFrom;
    if (isFresh) parent.append(element("p", "divider fresh", words.fresh));
    const goesOn =
      !isNewDay && !isFresh && line.kind !== "emote" && line.kind === before.kind &&
      before.from === line.from && line.at - before.at < (line.kind === "said" ? TOGETHER : 60_000);
    parent.append(this.nodeOf(line, goesOn));
  }

  nodeOf(line, goesOn) {
    const node = element("div", `line ${line.kind}${goesOn ? "" : " first"}${line.mention && this.conversation.room ? " mention" : ""}`);
    node.line = line;
    const time = element("time", "", timeOf(line.at));
    time.dateTime = line.at.toISOString();
    time.title = fullTimeOf(line.at);
    const body = element("div");
    if (line.kind === "said") {
      const name = element("bdi", `name ${goesOn ? "unseen" : colourOf(line.from)}`, line.from);
      name.dir = "auto";
      body.append(name);
    }
    const text = element("div", "text");
    text.dir = "auto";
    if (line.kind === "emote") text.append(element("bdi", `name-in ${colourOf(line.from)}`, line.from), " ");
    text.append(withLinks(line.text));
    body.append(text);
    node.append(time, body);
    return node;
  }

  // What waits to be sent stands below everything.
  outbox() {
    if (!this.conversation) return;
    const pending = this.chat.outbox.filter(({ key }) => key === this.conversation.key).slice(0, WINDOW);
    this.outboxList.replaceChildren(
      ...pending.map((one) => {
        const node = this.nodeOf({ at: new Date(), kind: "unsent", from: this.chat.name, text: one.text }, false);
        if (one.doubtful) {
          const again = element("button", "quiet", words.sendAgain);
          again.type = "button";
          again.addEventListener("click", () => this.chat.again(one));
          const discard = element("button", "quiet", words.discard);
          discard.type = "button";
          discard.addEventListener("click", () => this.chat.discard(one));
          node.lastChild.append(words.notSent, " ", again, discard);
        }
        return node;
      }),
    );
    if (this.following) this.stick();
  }

  showJump() {
    if (!this.conversation) return;
    const { unread } = this.conversation;
    this.jump.hidden = this.following;
    this.jump.textContent = unread ? words.unread(unread) : words.latest;
  }
}
