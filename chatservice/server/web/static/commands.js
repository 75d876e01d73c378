// The commands that can be typed. Each gets the chat, the conversation it was typed in, and what
// follows its name; it returns false if that does not fit.

import { words } from "./words.js";
import { fullTimeOf, timeOf } from "./text.js";

const split = (args) => {
  const [first] = args.split(/\s/, 1);
  return [first, args.slice(first.length).trim()];
};

function inRoom(conversation) {
  if (!conversation.room) throw new Error(words.noRoom);
  return conversation.room;
}

async function show(chat, conversation, events) {
  const messages = events.filter((event) => event.type === "said" || event.type === "emoted");
  const lines = messages.map((event) => {
    const time = timeOf(new Date(event.at));
    const where = event.room && event.room !== conversation.room ? ` ${words.room(event.room)}` : "";
    return words.message(time + where, event.from, event.text);
  });
  chat.note(conversation, [words.found(lines.length), ...lines].join("\n"));
}

// NAME [TIME] [REASON], as the server takes it.
const LONGEST = 316_224_000; // seconds that the server takes: ten years
const UNITS = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

function sanction(type, conversation, args) {
  const [name, rest] = split(args);
  const [first, others] = split(rest);
  const [, count, unit] = /^([1-9]\d{0,4})([smhdw])$/.exec(first) ?? [];
  const seconds = count && Math.min(Number(count) * UNITS[unit], LONGEST);
  const reason = count ? others : rest;
  return { type, name, room: inRoom(conversation), ...(seconds && { seconds }), ...(reason && { reason }) };
}

const inCharge = (name, args, help, request) => [
  name,
  [],
  args,
  help,
  async (chat, at, typed) => typed && (await chat.link.ask(request(at, typed)), true),
];

export const COMMANDS = [
  ["me", [], "ACTION", "say what you are doing", (chat, at, args) => args && chat.emote(at, args)],
  ["msg", ["w", "tell"], "NAME TEXT", "send a private message", (chat, at, args) => {
    const [name, text] = split(args);
    return text && chat.write(name, text);
  }],
  ["reply", ["r"], "TEXT", "answer the last private message", async (chat, at, args) => args && chat.reply(args)],
  ["away", [], "[TEXT]", "tell others that you do not answer for now", async (chat, at, text) => {
    await chat.link.ask({ type: "away", ...(text && { text }) });
    chat.note(at, words.youAreAway(text));
  }],
  ["back", [], "", "end that you are away", async (chat, at) => {
    await chat.link.ask({ type: "away", on: false });
    chat.note(at, words.youAreBack);
  }],
  ["who", ["names", "users"], "[ROOM]", "list who is online, or in a room", async (chat, at, args) => {
    const room = args.replace(/^#/, "");
    const { users, away = [] } = await chat.link.ask({ type: "who", ...(room && { room }) });
    chat.note(at, words.online(users, room), ...words.away(away));
  }],
  ["whois", [], "NAME", "show who somebody is", async (chat, at, args) => {
    if (!args) return false;
    const person = await chat.link.ask({ type: "whois", name: args });
    chat.note(at, ...words.person(person, fullTimeOf(new Date(person.since))));
  }],
  ["nick", [], "NAME", "change your name", (chat, at, args) => args && chat.rename(args)],
  ["history", [], "[N]", "show the last messages again", async (chat, at, args) => {
    const limit = args ? Math.min(Number(args), 200) : 20;
    if (!(limit > 0)) return false;
    const { events } = await chat.link.ask({ type: "history", limit, messages: true, room: inRoom(at) });
    return show(chat, at, events);
  }],
  ["search", [], "WORDS", "find messages", async (chat, at, args) => {
    if (!args) return false;
    const room = chat.hasRooms ? "*" : "lobby";
    const { events } = await chat.link.ask({ type: "search", words: args, limit: 20, room });
    return show(chat, at, events);
  }],
  ["join", ["j"], "ROOM", "join a room, or make one", (chat, at, args) => args && chat.join(args.replace(/^#/, ""))],
  ["part", ["leave"], "[ROOM]", "leave a room", (chat, at, args) => chat.part(args.replace(/^#/, "") || inRoom(at))],
  ["switch", [], "ROOM", "speak in another of your rooms", (chat, at, args) => args && chat.open(args.replace(/^#/, ""))],
  ["in", [], "ROOM TEXT", "say one line in another room", (chat, at, args) => {
    const [room, text] = split(args);
    const other = chat.conversations.get(room.replace(/^#/, ""));
    if (text && !other) throw new Error(words.notHere(room));
    return text && chat.say(other, text);
  }],
  ["rooms", ["list"], "", "list the rooms", async (chat, at) => {
    chat.note(at, words.rooms(await chat.listRooms()).join("\n"));
  }],
  ["topic", [], "[TEXT]", "show or set the topic of the room", async (chat, at, args) => {
    const answer = await chat.link.ask({ type: "topic", room: inRoom(at), ...(args && { topic: args }) });
    if (!args) chat.note(at, words.topicIs(answer.topic));
  }],
  ["private", [], "", "admit only people who are invited to the room", (chat, at) =>
    chat.link.ask({ type: "room_mode", room: inRoom(at), private: true })],
  ["public", [], "", "open the room to everyone", (chat, at) =>
    chat.link.ask({ type: "room_mode", room: inRoom(at), private: false })],
  ["invite", [], "NAME", "invite somebody into the room", async (chat, at, args) => {
    if (!args) return false;
    await chat.link.ask({ type: "invite", to: args, room: inRoom(at) });
    chat.note(at, words.youInvited(args));
  }],
  ["report", [], "NAME REASON", "tell those in charge, and nobody else, that somebody misbehaves", async (chat, at, args) => {
    const [name, reason] = split(args);
    if (!reason) return false;
    const { waiting } = await chat.link.ask({ type: "report", name, reason, room: inRoom(at) });
    chat.note(at, words.reportTaken(waiting));
  }],
  ["delete", [], "[NAME] [N]", "delete what you have just said", async (chat, at, args) => {
    const [, name, count] = /^(\D\S*)?(?:(?:^|\s+)([1-9]\d{0,2}))?$/.exec(args) ?? [];
    if (args && !name && !count) return false;
    const request = { type: "delete", room: inRoom(at), ...(name && { name }), ...(count && { count: Math.min(Number(count), 100) }) };
    await chat.link.ask(request);
    return true;
  }],
  ["ignore", [], "[NAME]", "hear nothing of what somebody says", async (chat, at, args) => {
    if (args) {
      await chat.link.ask({ type: "ignore", name: args });
      chat.note(at, words.ignoring(args));
    } else {
      const { ignored } = await chat.link.ask({ type: "ignores" });
      chat.note(at, words.ignored(ignored));
    }
  }],
  ["unignore", [], "NAME", "hear somebody again", async (chat, at, args) => {
    if (!args) return false;
    await chat.link.ask({ type: "ignore", name: args, on: false });
    chat.note(at, words.notIgnoring(args));
  }],
  ["slow", [], "SECONDS", "let each person say one message in so many seconds", (chat, at, args) =>
    /^\d{1,5}$/.test(args) && chat.link.ask({ type: "room_mode", room: inRoom(at), slow: Number(args) })],
  inCharge("kick", "NAME [REASON]", "remove somebody from the room, if you are in charge of it", (at, args) => {
    const [name, reason] = split(args);
    return { type: "kick", name, room: inRoom(at), ...(reason && { reason }) };
  }),
  inCharge("ban", "NAME [TIME] [REASON]", "keep somebody out of the room", (at, args) => sanction("ban", at, args)),
  inCharge("unban", "NAME", "end a ban", (at, name) => ({ type: "ban", name, room: inRoom(at), on: false })),
  inCharge("mute", "NAME [TIME] [REASON]", "let somebody hear and not be heard in the room", (at, args) =>
    sanction("mute", at, args)),
  inCharge("unmute", "NAME", "end a mute", (at, name) => ({ type: "mute", name, room: inRoom(at), on: false })),
  inCharge("op", "NAME", "put somebody in charge of the room, too", (at, name) => ({ type: "op", name, room: inRoom(at) })),
  inCharge("deop", "NAME", "end that somebody is in charge of the room", (at, name) =>
    ({ type: "op", name, room: inRoom(at), on: false })),
  ["bans", [], "", "list the bans and mutes of the room", async (chat, at) => {
    const { bans, earlier } = await chat.link.ask({ type: "bans", room: inRoom(at) });
    chat.note(at, words.bans(bans, earlier, (time) => fullTimeOf(new Date(time))).join("\n"));
  }],
  ["register", [], "[PASSWORD]", "register your name", (chat, at, args) => chat.account("register", args)],
  ["password", [], "[NEW]", "change your password", (chat, at, args) => chat.account("password", args)],
  ["unregister", [], "", "unregister your name", (chat) => chat.account("unregister")],
  ["help", ["h", "?"], "", "show this list", (chat, at) => {
    chat.note(at, COMMANDS.map(({ name, usage, help }) => words.help(`/${name} ${usage}`.trim(), help)).join("\n"));
  }],
  ["exit", ["quit"], "", "leave the chat", (chat) => chat.leave()],
].map(([name, aliases, usage, help, run]) => ({ name, aliases, usage, help, run }));

const BY_NAME = new Map(COMMANDS.flatMap((command) => [command.name, ...command.aliases].map((name) => [name, command])));

// What Up brings back must hold no password.
export const holdsPassword = (line) => /^\s*\/(register|password)(\s|$)/i.test(line);

// Do what a typed line says. Raises what is to be shown beside it.
export async function obey(chat, conversation, line) {
  const typed = line.trimStart();
  if (!typed.startsWith("/") || typed.startsWith("//")) {
    chat.say(conversation, typed.startsWith("//") ? typed.slice(1) : line);
    return;
  }
  const [word, args] = split(typed.slice(1));
  const command = BY_NAME.get(word.toLowerCase());
  if (!command) throw new Error(words.unknownCommand(word));
  const done = await command.run(chat, conversation, args);
  if (done === false || done === "") throw new Error(words.usage(command.name, command.usage));
}
