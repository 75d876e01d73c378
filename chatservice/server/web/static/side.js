// The lists at the side: rooms, private conversations, people.

import { LOBBY } from "./chat.js";
import { colourOf, element, sameName } from "./text.js";
import { words } from "./words.js";

const MOST_PEOPLE = 500; // that are listed

export class Side {
  constructor(chat, done) {
    this.chat = chat;
    this.done = done; // something has been chosen
    this.lists = Object.fromEntries(["rooms", "privates", "people"].map((id) => [id, document.getElementById(id)]));
    const form = document.getElementById("join-room");
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const field = document.getElementById("room-name");
      const room = field.value.trim().replace(/^#/, "");
      if (!room) return;
      try {
        await this.chat.join(room);
        field.value = "";
        this.done();
      } catch (error) {
        this.chat.view.error(words.sentence(error.message || words.problem));
      }
    });
  }

  show() {
    const { chat } = this;
    document.getElementById("join-room").hidden = !chat.hasRooms;
    const rooms = chat.rooms().sort((a, b) => (a.room === LOBBY ? -1 : b.room === LOBBY ? 1 : a.room.localeCompare(b.room)));
    this.fill("rooms", [
      ...rooms.map((one) => this.conversationItem(one)),
      ...[...chat.known.values()].map((room) =>
        this.item(words.room(room.room), "not-in", false, "", async () => {
          await chat.join(room.room);
          this.done();
        }),
      ),
    ]);
    const privates = chat.privates();
    document.getElementById("private-section").hidden = !privates.length;
    this.fill("privates", privates.map((one) => this.conversationItem(one)));
    const people = [...(chat.current.room ? chat.current : chat.conversations.get(LOBBY)).people];
    people.sort((a, b) => a.localeCompare(b));
    document.getElementById("people-count").textContent = people.length || "";
    this.fill(
      "people",
      people.slice(0, MOST_PEOPLE).map((name) =>
        this.item(chat.away.has(name) ? words.markedAway(name) : name, colourOf(name), false, "", () => {
          if (!sameName(name, chat.name)) chat.open(`@${name}`);
          this.done();
        }),
      ),
    );
    const me = document.getElementById("me");
    me.textContent = chat.name;
    me.className = colourOf(chat.name);
    me.dir = "auto";
  }

  conversationItem(conversation) {
    const { unread, mentions } = conversation;
    const isCurrent = conversation === this.chat.current;
    const item = this.item(conversation.name, "", isCurrent, "", () => {
      this.chat.open(conversation.key);
      this.done();
    });
    if (unread) {
      const badge = element("span", `badge${mentions ? " mention" : ""}`, String(unread));
      badge.setAttribute("aria-label", words.unreadLabel(unread, mentions));
      badge.setAttribute("role", "img");
      item.firstChild.append(badge);
    }
    return item;
  }

  item(label, className, isCurrent, title, chosen) {
    const item = element("li");
    const button = element("button");
    button.type = "button";
    const text = element("span", `label ${className}`);
    text.append(element("bdi", "", label));
    button.append(text);
    if (isCurrent) button.setAttribute("aria-current", "true");
    button.dataset.label = label;
    button.addEventListener("click", async () => {
      try {
        await chosen();
      } catch (error) {
        this.chat.view.error(words.sentence(error.message || words.problem));
      }
    });
    item.append(button);
    return item;
  }

  // The list anew; the focus stays where it was.
  fill(which, items) {
    const list = this.lists[which];
    const focused = list.contains(document.activeElement) ? document.activeElement.dataset.label : undefined;
    list.replaceChildren(...items);
    if (focused !== undefined) {
      [...list.querySelectorAll("button")].find((button) => button.dataset.label === focused)?.focus();
    }
  }
}
