// What is going on in the chat, as far as this page knows: rooms, people, messages, what waits to be
// sent. It speaks with the server through a Link, and tells `view` what has changed.

import { Link, Lost, Refused } from "./link.js";
import { comparable, fullTimeOf, mentions, sameName } from "./text.js";
import { words } from "./words.js";

export const LOBBY = "lobby";
const PAGE = 50; // events in a page of the past
const CATCHING_UP = 500; // the same while we catch up
const MAX_LINES = 5000; // kept of a conversation; older ones can be fetched again
const MAX_LINE = 8192; // bytes that the server takes in a message, JSON and all
const TYPING_LASTS = 12_000;
const ROOM_EVENTS = new Set(["said", "emoted", "joined", "left", "renamed", "topic", "room_mode", "pace", "role", "banned", "muted", "deleted", "tombstone"]);

const bytes = (value) => new TextEncoder().encode(JSON.stringify(value)).length;

function stored(key, otherwise) {
  try {
    return JSON.parse(sessionStorage.getItem(key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function store(key, value) {
  try {
    sessionStorage.setItem(key, JSON.stringify(value));
  } catch {
    // There is no room, or none is given: then a reload forgets.
  }
}

export class Conversation {
  constructor(key, room) {
    this.key = key; // a room's name, or @ and a person's
    this.room = room; // undefined: private
    this.topic = "";
    this.lines = [];
    this.people = new Set();
    this.typing = new Map();
    this.unread = this.mentions = 0;
    this.freshFrom = undefined; // the first line that has not been read
    this.lastId = undefined; // everything of the room up to here is known
    this.complete = !room; // nothing older is to be had
    this.held = undefined; // what is heard while we catch up
    this.loading = undefined;
  }

  get name() {
    return this.room ? words.room(this.room) : this.key.slice(1);
  }
}

export class Chat {
  constructor(view) {
    this.view = view;
    this.conversations = new Map();
    this.away = new Set(); // who does not answer for now
    this.known = new Map(); // rooms that we are not in
    this.name = "";
    this.isIn = false;
    this.hasRooms = false;
    this.outbox = stored("outbox", []);
    this.password = "";
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.link = new Link(`${scheme}://${location.host}/chat`, {
      opened: () => this.enter(),
      heard: (event) => this.hear(event),
      closed: (pause) => this.lost(pause),
    });
    this.conversationOf(LOBBY);
    this.current = this.conversations.get(LOBBY);
  }

  // Coming and going

  get remembered() {
    return stored("me", undefined);
  }

  login(name, password) {
    this.password = password;
    store("me", { ...(sameName(this.remembered?.name ?? "", name) && this.remembered), name });
    this.link.stop();
    this.link.start();
  }

  async enter() {
    const { name, token } = this.remembered ?? {};
    this.view.status(words.connecting);
    try {
      const hello = { type: "hello", name, rooms: true };
      if (token) Object.assign(hello, { token, beside: true });
      if (this.password) hello.password = this.password;
      await this.link.ask(hello, (event) => this.welcome(event));
    } catch (error) {
      if (error instanceof Lost) return;
      this.refuse(error);
    }
  }

  refuse(error) {
    const code = error instanceof Refused ? error.code : "";
    // Our own connection, which the server does not know to be dead; or it will have room again.
    const isPassing = this.isIn && ["name_taken", "busy", "not_saved", "too_often"].includes(code);
    if (isPassing) {
      this.link.socket?.close();
      return;
    }
    const { name } = this.remembered ?? {};
    this.link.stop();
    this.isIn = false;
    const message = code === "password_needed" ? words.passwordNeeded(name) : words.sentence(error.message);
    this.view.entrance(name ?? "", message, code === "password_needed" || code === "wrong_password");
  }

  welcome(event) {
    const { epoch: before } = this.remembered ?? {};
    const hasForgotten = this.epoch !== undefined && this.epoch !== event.epoch;
    this.link.settled();
    this.name = event.name;
    this.epoch = event.epoch;
    this.hasRooms = event.rooms !== undefined;
    store("me", { name: event.name, token: event.token, epoch: event.epoch });
    if (hasForgotten || (before && before !== event.epoch)) {
      for (const pending of this.outbox) pending.sent = false; // of which that server knows nothing
    }
    this.isIn = true;
    this.view.enter();
    this.view.status("");
    const rooms = event.rooms ?? [{ room: LOBBY }];
    for (const [key, conversation] of this.conversations) {
      if (conversation.room && !rooms.some(({ room }) => room === key)) this.forget(conversation);
    }
    for (const room of rooms) this.takeRoom(room);
    const lobby = this.conversationOf(LOBBY);
    lobby.people = new Set(event.users);
    this.away = new Set(event.away);
    for (const conversation of this.rooms()) {
      if (hasForgotten) {
        conversation.lastId = undefined;
        this.note(conversation, words.startedAnew);
      }
      this.catchUp(conversation, event.last_id);
      if (conversation.room !== LOBBY) this.refreshPeople(conversation);
    }
    this.open(stored("current", LOBBY));
    this.sendOutbox((pending) => pending.key.startsWith("@"));
    this.view.lists();
    if (this.hasRooms) this.listRooms().catch(() => {});
  }

  lost(pause) {
    for (const conversation of this.conversations.values()) {
      conversation.typing.clear();
      conversation.held = undefined;
      conversation.loading = undefined;
    }
    this.view.typing();
    this.view.waiting(pause);
  }

  leave() {
    this.link.ask({ type: "exit" }).catch(() => {});
    this.gone("exit");
  }

  gone(reason) {
    this.link.stop();
    this.isIn = false;
    this.password = "";
    sessionStorage.removeItem("me");
    for (const conversation of [...this.conversations.values()]) this.forget(conversation);
    this.current = this.conversationOf(LOBBY);
    const sentAway = reason === "kicked" ? this.sentAway : undefined;
    this.sentAway = undefined;
    this.view.entrance(this.name, sentAway ?? words.ended[reason] ?? "", false);
  }

  // What is heard

  hear(event) {
    if (ROOM_EVENTS.has(event.type)) {
      for (const room of event.rooms?.length ? event.rooms : [event.room]) this.happen(room, event);
      return;
    }
    const { current } = this;
    switch (event.type) {
      case "told":
        this.told(event);
        break;
      case "typing":
        this.type(event);
        break;
      case "away":
        if (event.on) this.away.add(event.name);
        else this.away.delete(event.name);
        this.view.lists();
        break;
      case "room":
        this.takeRoom(event);
        break;
      case "removed":
        this.removed(event);
        break;
      case "invited":
        this.known.set(event.room, { room: event.room });
        this.note(current, words.invited(event.from, event.room));
        this.view.lists();
        break;
      case "reported":
        this.note(this.conversations.get(event.room) ?? current, words.reported(event));
        break;
      case "announced":
        this.note(this.conversations.get(event.room) ?? current, ...event.lines);
        break;
      case "saving":
        this.note(current, words.saving(event.on, event.trouble, event.lost));
        break;
      case "skipped":
        for (const conversation of this.rooms()) {
          conversation.lastId = Math.min(conversation.lastId ?? event.after, event.after);
          this.catchUp(conversation, event.before - 1);
        }
        break;
      case "bye":
        this.bye(event.reason);
        break;
      case "error":
        this.view.error(words.sentence(event.message));
        break;
    }
  }

  // By somebody in charge. From the whole chat: a goodbye follows.
  removed({ room, by, why }) {
    const text = words.youRemoved(by, room, why);
    const conversation = this.conversations.get(room);
    if (room === "*") {
      this.sentAway = text;
    } else if (conversation) {
      this.forget(conversation);
      this.note(this.current, text);
      this.listRooms().catch(() => {});
    }
  }

  bye(reason) {
    if (reason === "taken over") {
      this.link.stop();
      this.view.takenOver();
    } else if (reason in words.ended) {
      this.gone(reason);
    }
  }

  // Something that stands in the log: it is taken once, whichever way it comes.
  happen(room, event) {
    const conversation = this.conversations.get(room);
    if (!conversation) return;
    if (conversation.held) {
      conversation.held.push(event);
      return;
    }
    if (conversation.lastId !== undefined && event.id <= conversation.lastId) return;
    conversation.lastId = event.id;
    this.follow(conversation, event);
    this.erase(conversation, [event]);
    this.append(conversation, [this.lineOf(conversation, event)]);
  }

  // In place of messages that have been deleted it says so.
  erase(conversation, events) {
    for (const event of events) {
      if (event.type !== "deleted") continue;
      const ids = new Set(event.messages);
      const { lines } = conversation;
      for (const [index, line] of lines.entries()) {
        if (!ids.has(line.id)) continue;
        lines[index] = this.lineOf(conversation, { ...event, type: "tombstone", id: line.id, at: line.at });
        if (conversation.freshFrom === line) conversation.freshFrom = lines[index];
      }
      this.view.replaced(conversation);
    }
  }

  // Who is where, by what has happened.
  follow(conversation, event) {
    const { people } = conversation;
    switch (event.type) {
      case "joined":
        for (const name of event.names) people.add(name);
        break;
      case "left":
        for (const name of event.names) {
          people.delete(name);
          if (event.reason !== "parted") this.away.delete(name);
          conversation.typing.delete(name);
        }
        if (event.reason === "parted" && event.names.includes(this.name)) {
          this.forget(conversation);
        }
        break;
      case "renamed":
        if (people.delete(event.old)) people.add(event.new);
        if (this.away.delete(event.old)) this.away.add(event.new);
        if (event.old === this.name) this.called(event.new);
        break;
      case "topic":
        conversation.topic = event.topic;
        break;
      case "said":
      case "emoted":
        conversation.typing.delete(event.from);
        this.view.typing();
        return;
      default:
        return;
    }
    this.view.lists();
  }

  lineOf(conversation, event) {
    const line = { id: event.id, at: new Date(event.at), kind: "notice", from: "", text: "" };
    switch (event.type) {
      case "said":
      case "emoted":
        line.kind = event.type === "said" ? "said" : "emote";
        line.from = event.from;
        line.text = event.text;
        line.own = event.from === this.name;
        line.mention = !line.own && mentions(event.text, this.name);
        break;
      case "joined":
        line.text = words.joined(event.names, event.arrived === false ? event.room : "");
        break;
      case "left":
        line.text = event.by
          ? words.removed(event.by, event.names, event.why, event.reason === "parted")
          : words.left(event.names, event.reason === "connection lost", event.reason === "parted");
        break;
      case "renamed":
        line.text = words.renamed(event.old, event.new);
        break;
      case "topic":
        line.text = words.topicSet(event.from ?? event.name, event.topic);
        break;
      case "room_mode":
        line.text = words.mode(event.from ?? event.name, event.private);
        break;
      case "pace":
        line.text = words.pace(event);
        break;
      case "banned":
      case "muted":
        line.text = words[event.type](event, event.until && fullTimeOf(new Date(event.until)));
        break;
      case "role":
      case "deleted":
      case "tombstone":
        line.text = words[event.type](event);
        break;
    }
    return line;
  }

  told(event) {
    const mine = event.from === this.name;
    const conversation = this.privateWith(mine ? event.to : event.from);
    this.correspondent = conversation;
    conversation.typing.clear();
    const line = { at: new Date(event.at), kind: "said", from: event.from, text: event.text, own: mine, mention: !mine };
    this.append(conversation, [line]);
  }

  append(conversation, lines) {
    for (const line of lines) {
      conversation.lines.push(line);
      const counts = (line.kind === "said" || line.kind === "emote") && !line.own;
      if (counts && !this.view.isReading(conversation)) {
        conversation.freshFrom ??= line;
        conversation.unread += 1;
        if (line.mention) conversation.mentions += 1;
        this.view.alert(conversation, line);
      }
    }
    this.view.added(conversation);
    const surplus = conversation.lines.length - MAX_LINES;
    if (surplus > 0 && this.view.mayTrim(conversation, surplus)) {
      conversation.lines.splice(0, surplus);
      conversation.complete = !conversation.room;
      this.view.trimmed(conversation, surplus);
    }
  }

  note(conversation, ...texts) {
    const at = new Date();
    this.append(conversation, texts.map((text) => ({ at, kind: "notice", from: "", text })));
  }


  read(conversation) {
    if (!conversation.unread) return;
    conversation.unread = conversation.mentions = 0;
    this.view.lists();
  }

  // The past

  async page(conversation, fields) {
    return this.link.ask({ type: "history", room: conversation.room, ...fields });
  }

  // Everything of a room up to the id `last`, without a gap or a repeat; what happens meanwhile waits.
  async catchUp(conversation, last) {
    conversation.held ??= [];
    const { held } = conversation;
    const isCurrent = () => conversation.held === held;
    try {
      if (conversation.lastId === undefined) {
        const { events, first_id } = await this.page(conversation, { before: last + 1, limit: PAGE });
        if (!isCurrent()) return;
        await this.settle(conversation, events, last);
        if (!isCurrent()) return;
        conversation.complete = !events.length || events[0].id <= first_id;
        conversation.lastId = last;
        const lines = events.map((event) => this.lineOf(conversation, event));
        conversation.lines.unshift(...lines);
        this.view.prepended(conversation, lines.length);
      }
      while (conversation.lastId < last) {
        const { events, gone } = await this.page(conversation, {
          after: conversation.lastId,
          before: last + 1,
          limit: CATCHING_UP,
        });
        if (!isCurrent()) return;
        if (gone) this.note(conversation, words.gone(gone));
        const fresh = events.filter((event) => event.id > conversation.lastId);
        this.match(conversation, fresh);
        this.append(conversation, fresh.map((event) => this.lineOf(conversation, event)));
        this.erase(conversation, fresh);
        conversation.lastId = fresh.length ? fresh.at(-1).id : last;
      }
    } catch (error) {
      if (!(error instanceof Lost)) this.view.error(words.sentence(error.message));
      if (!isCurrent()) return;
    }
    conversation.held = undefined;
    for (const event of held) this.happen(conversation.room, event);
    this.sendOutbox((pending) => pending.key === conversation.key);
  }

  // What was sent before the page was reloaded may be older than what is shown.
  async settle(conversation, newest, last) {
    const sent = this.outbox.filter((pending) => pending.key === conversation.key && pending.sent);
    if (!sent.length) return;
    let after = Math.min(...sent.map((pending) => pending.after ?? 0));
    const oldest = newest.length ? newest[0].id : last + 1;
    while (after < oldest - 1) {
      const { events } = await this.page(conversation, { after, before: oldest, limit: CATCHING_UP });
      if (!events.length) break;
      this.match(conversation, events);
      after = events.at(-1).id;
    }
    this.match(conversation, newest);
  }

  // Take out of the outbox what turns out to have arrived.
  match(conversation, events) {
    for (const event of events) {
      if (event.from !== this.name || (event.type !== "said" && event.type !== "emoted")) continue;
      const index = this.outbox.findIndex(
        (pending) =>
          pending.key === conversation.key &&
          pending.sent &&
          event.id > (pending.after ?? 0) &&
          (pending.kind === "emote") === (event.type === "emoted") &&
          comparable(pending.text) === comparable(event.text),
      );
      if (index >= 0) this.outbox.splice(index, 1);
    }
    this.keepOutbox();
  }

  // A page of what is older than everything that is shown.
  async older(conversation) {
    if (conversation.complete || conversation.loading || !this.link.isOpen || conversation.held) return;
    const oldest = conversation.lines.find((line) => line.id !== undefined);
    const loading = this.page(conversation, { before: oldest?.id ?? conversation.lastId + 1, limit: PAGE });
    conversation.loading = loading;
    try {
      const { events, first_id } = await loading;
      conversation.complete = !events.length || events[0].id <= first_id;
      const lines = events.map((event) => this.lineOf(conversation, event));
      conversation.lines.unshift(...lines);
      this.view.prepended(conversation, lines.length);
    } catch {
      // The connection is lost: there is time when it is back.
    } finally {
      conversation.loading = undefined;
    }
  }

  // What is said

  say(conversation, text) {
    this.put(conversation, "say", text);
  }

  emote(conversation, text) {
    this.put(conversation, "emote", text);
    return true;
  }

  write(name, text) {
    const conversation = this.privateWith(name);
    this.open(conversation.key);
    this.put(conversation, "say", text);
    return true;
  }

  async reply(text) {
    if (this.correspondent) return this.write(this.correspondent.key.slice(1), text);
    const { to, at, away } = await this.link.ask({ type: "reply", text });
    const conversation = this.privateWith(to);
    this.append(conversation, [{ at: new Date(at), kind: "said", from: this.name, text, own: true }]);
    if (away !== undefined) this.note(conversation, words.isAway(to, away));
    this.open(conversation.key);
    return true;
  }

  put(conversation, kind, text) {
    const pending = { key: conversation.key, kind, text, sent: false };
    if (bytes(this.requestFor(pending)) > MAX_LINE - 64) throw new Error(words.tooLong(MAX_LINE));
    conversation.freshFrom = undefined;
    this.outbox.push(pending);
    this.keepOutbox();
    if (this.isIn && this.link.isOpen && !conversation.held) this.send(pending);
  }

  requestFor({ key, kind, text }) {
    if (!key.startsWith("@")) return { type: kind, text, ...(key !== LOBBY && { room: key }) };
    return { type: "tell", to: key.slice(1), text: kind === "emote" ? `* ${text}` : text };
  }

  sendOutbox(which) {
    for (const pending of this.outbox.filter(which)) {
      if (pending.key.startsWith("@") && pending.sent) pending.doubtful = true;
      else this.send(pending);
    }
    this.keepOutbox();
  }

  again(pending) {
    pending.doubtful = false;
    this.send(pending);
    this.keepOutbox();
  }

  discard(pending) {
    this.outbox = this.outbox.filter((other) => other !== pending);
    this.keepOutbox();
  }

  async send(pending) {
    const conversation = this.conversations.get(pending.key);
    if (!conversation) {
      this.discard(pending);
      return;
    }
    pending.sent = true;
    pending.after = conversation.lastId;
    try {
      await this.link.ask(this.requestFor(pending), (ack) => this.arrived(conversation, pending, ack));
    } catch (error) {
      if (error instanceof Lost) return;
      this.discard(pending);
      this.view.error(words.sentence(error.message));
    }
  }

  arrived(conversation, pending, ack) {
    this.discard(pending);
    if (conversation.room) {
      const type = pending.kind === "emote" ? "emoted" : "said";
      this.happen(conversation.room, { type, id: ack.id, at: ack.at, from: this.name, text: pending.text });
      return;
    }
    const { text } = this.requestFor(pending);
    this.append(conversation, [{ at: new Date(ack.at), kind: "said", from: this.name, text, own: true }]);
    if (ack.waiting) this.note(conversation, words.waiting(ack.to));
    if (ack.away !== undefined) this.note(conversation, words.isAway(ack.to, ack.away));
  }

  keepOutbox() {
    store("outbox", this.outbox.map(({ key, kind, text, sent, after }) => ({ key, kind, text, sent, after })));
    this.view.outbox();
  }

  // Rooms and people

  rooms() {
    return [...this.conversations.values()].filter((conversation) => conversation.room);
  }

  privates() {
    return [...this.conversations.values()].filter((conversation) => !conversation.room);
  }

  conversationOf(room) {
    let conversation = this.conversations.get(room);
    if (!conversation) {
      conversation = new Conversation(room, room);
      this.conversations.set(room, conversation);
    }
    return conversation;
  }

  privateWith(name) {
    const key = [...this.conversations.keys()].find((known) => known.startsWith("@") && sameName(known.slice(1), name));
    if (key) return this.conversations.get(key);
    const conversation = new Conversation(`@${name}`, undefined);
    this.conversations.set(conversation.key, conversation);
    this.view.lists();
    return conversation;
  }

  takeRoom(event) {
    const conversation = this.conversationOf(event.room);
    conversation.topic = event.topic ?? "";
    conversation.isPrivate = event.private ?? false;
    if (event.users?.length) conversation.people = new Set(event.users);
    this.known.delete(event.room);
    return conversation;
  }

  forget(conversation) {
    this.conversations.delete(conversation.key);
    if (this.current === conversation && conversation.room !== LOBBY) this.open(LOBBY);
    this.view.lists();
  }

  async refreshPeople(conversation) {
    try {
      const { users } = await this.link.ask({ type: "who", room: conversation.room });
      conversation.people = new Set(users);
      this.view.lists();
    } catch {
      // Next time.
    }
  }

  async listRooms() {
    const { rooms } = await this.link.ask({ type: "rooms", limit: 1000 });
    this.known = new Map(rooms.filter(({ room }) => !this.conversations.has(room)).map((room) => [room.room, room]));
    this.view.lists();
    return rooms;
  }

  async join(room) {
    const answer = await this.link.ask({ type: "join", room });
    const conversation = this.takeRoom(answer);
    if (conversation.lastId === undefined && !conversation.held) {
      conversation.held = []; // what is heard before the page has come follows it
      const { events } = await this.page(conversation, { limit: 1 });
      await this.catchUp(conversation, events.at(-1)?.id ?? 0);
    }
    this.open(conversation.key);
    return true;
  }

  async part(room) {
    await this.link.ask({ type: "part", room });
    const conversation = this.conversations.get(room);
    if (conversation) this.forget(conversation);
    return true;
  }

  open(key) {
    const conversation = this.conversations.get(key) ?? (key.startsWith("@") ? this.privateWith(key.slice(1)) : undefined);
    if (!conversation) {
      if (key !== LOBBY) this.open(LOBBY);
      return true;
    }
    const before = this.current;
    if (before !== conversation && before.unread === 0) before.freshFrom = undefined;
    this.current = conversation;
    store("current", conversation.key);
    this.view.opened(conversation);
    this.view.lists();
    return true;
  }

  called(name) {
    this.name = name;
    store("me", { ...this.remembered, name });
    this.view.lists();
  }

  async rename(name) {
    const old = this.name;
    const answer = await this.askAgainWithPassword({ type: "nick", name });
    if (!answer) return true;
    for (const conversation of this.rooms()) {
      if (conversation.people.has(old)) {
        const event = { type: "renamed", id: answer.id, at: answer.at, old, new: answer.new ?? name };
        this.happen(conversation.room, event);
      }
    }
    if (this.name === old) this.called(name);
    return true;
  }

  // What needs a password asks for it, so that nobody has to type one where it can be seen.
  async account(type, typed) {
    let password = typed;
    if (!password && type !== "unregister") {
      password = (await this.view.askSecret(words.secretFor[type], { new: true }))?.new;
      if (!password) return true;
    }
    const answer = await this.askAgainWithPassword({ type, ...(password && { password }) }, type === "password" ? "old" : "password");
    if (!answer) return true;
    this.password = type === "unregister" ? "" : password;
    this.note(this.current, words.account(answer.change));
    return true;
  }

  async askAgainWithPassword(request, field = "password") {
    try {
      return await this.link.ask(request);
    } catch (error) {
      if (error.code !== "password_needed") throw error;
      const given = await this.view.askSecret(words.sentence(error.message), { old: true });
      return given ? this.link.ask({ ...request, [field]: given.old }) : undefined;
    }
  }

  // Who is writing

  type({ name, on, room = LOBBY }) {
    const conversation = this.conversations.get(room);
    if (!conversation || name === this.name) return;
    if (on) conversation.typing.set(name, Date.now() + TYPING_LASTS);
    else conversation.typing.delete(name);
    this.view.typing();
  }

  writing(conversation, on) {
    if (!conversation.room || !this.isIn) return;
    const now = Date.now();
    if (on && now - (this.typedAt ?? 0) < 3000) return;
    if (!on && !this.typedAt) return;
    this.typedAt = on ? now : 0;
    this.link.tell({ type: "typing", on, ...(conversation.room !== LOBBY && { room: conversation.room }) });
  }

  draft(conversation) {
    return stored("drafts", {})[conversation.key] ?? "";
  }

  keepDraft(conversation, text) {
    const drafts = stored("drafts", {});
    if (text) drafts[conversation.key] = text;
    else delete drafts[conversation.key];
    store("drafts", drafts);
  }
}
