// What the page says to people. Nothing else in it is worded.

const LISTED = 5;

function some(names) {
  if (names.length <= LISTED + 1) return names.join(", ");
  return `${names.slice(0, LISTED).join(", ")} and ${names.length - LISTED} others`;
}

const by = (name) => (name === "*" ? "The operator" : name);
const byWithin = (name) => (name === "*" ? "the operator" : name);
const because = (why) => (why ? `: ${why}` : ".");
const until = (time) => (time ? ` until ${time}` : "");
const everywhere = (on) => (on ? " in the whole chat" : "");

const have = (names) => (names.length === 1 ? "has" : "have");

export const words = {
  title: (conversation, unread) => `${unread ? `(${unread}) ` : ""}${conversation} – Chat`,
  room: (name) => (name === "lobby" ? "Lobby" : `#${name}`),
  sentence: (text) => text.charAt(0).toUpperCase() + text.slice(1),
  connecting: "Connecting…",
  lost: (seconds) => `Connection lost. Trying again in ${seconds} s. `,
  retry: "Try now",
  loading: "Loading…",
  elsewhere: "This conversation goes on in another window. ",
  takeBack: "Go on here",
  ended: {
    kicked: "The operator has ended your connection.",
    "name claimed": "Your name is registered now, and its owner has logged in. Choose another one.",
    refused: "Too many failed attempts.",
    "password changed": "Your password has been changed elsewhere. Log in with the new one.",
    unregistered: "Your name has been given up elsewhere.",
    exit: "",
  },
  passwordNeeded: (name) => `${name} is registered. What is its password?`,
  you: "you",
  joined: (names, room) => `${some(names)} ${have(names)} joined${room ? "" : " the chat"}.`,
  left: (names, lost, parted) =>
    `${some(names)} ${have(names)} left${parted ? "" : " the chat"}${lost ? " (connection lost)" : ""}.`,
  removed: (who, names, why, parted) =>
    `${by(who)} has removed ${some(names)}${parted ? "" : " from the chat"}${because(why)}`,
  youRemoved: (who, room, why) =>
    `${by(who)} has removed you from ${room === "*" ? "the chat" : `#${room}`}${because(why)}`,
  pace: ({ name, seconds }) =>
    seconds
      ? `${name} has slowed the room down: one message from each person every ${seconds} s.`
      : `${name} has ended the slow mode of the room.`,
  banned: (event, time) =>
    event.on === false
      ? `${by(event.by)} has ended the ban of ${event.name}${everywhere(event.everywhere)}.`
      : `${by(event.by)} has banned ${event.name}${everywhere(event.everywhere)}${until(time)}${because(event.why)}`,
  muted: (event, time) =>
    event.on === false
      ? `${by(event.by)} has ended the mute of ${event.name}${everywhere(event.everywhere)}.`
      : `${by(event.by)} has muted ${event.name}${everywhere(event.everywhere)}${until(time)}${because(event.why)}`,
  deleted: (event) => {
    const count = event.messages.length;
    const from = event.from === event.by ? "" : ` from ${event.from}`;
    return `${by(event.by)} has deleted ${count === 1 ? "a message" : `${count} messages`}${from}.`;
  },
  tombstone: (event) =>
    `A message from ${event.from} was deleted${event.from === event.by ? "" : ` by ${byWithin(event.by)}`}.`,
  role: (event) =>
    ({
      founder: `${by(event.by)} has given the room to ${event.name}.`,
      operator: `${by(event.by)} has put ${event.name} in charge of the room.`,
      member:
        event.by === event.name
          ? `${event.name} is no longer in charge of the room.`
          : `${by(event.by)} has removed ${event.name} as operator of the room.`,
    })[event.role],
  bans: (bans, earlier, timeOf) =>
    bans.length === 0
      ? ["Nobody is banned or muted here."]
      : [
          ...(earlier ? [`The newest ${bans.length} of ${bans.length + earlier}:`] : []),
          ...bans.map(
            (each) =>
              `${each.name} is ${each.kind === "ban" ? "banned" : "muted"} by ${byWithin(each.by)} since ${timeOf(each.at)}${until(each.until && timeOf(each.until))}${because(each.why)}`,
          ),
        ],
  ignoring: (name) => `You no longer hear ${name}.`,
  notIgnoring: (name) => `You hear ${name} again.`,
  ignored: (names) => (names.length ? `You ignore: ${names.join(", ")}` : "You ignore nobody."),
  renamed: (old, name) => `${old} is now known as ${name}.`,
  topicSet: (name, topic) => (topic ? `${name} has set the topic: ${topic}` : `${name} has removed the topic.`),
  topicIs: (topic) => (topic ? `The topic is: ${topic}` : "There is no topic."),
  mode: (name, isPrivate) =>
    isPrivate ? `${name} has made the room private.` : `${name} has opened the room to everyone.`,
  invited: (name, room) => `${name} has invited you to #${room}: type /join ${room}`,
  youInvited: (name) => `You have invited ${name}.`,
  gone: (count) => `${count} older messages are no longer kept.`,
  startedAnew: "The server has been restarted without its past.",
  saving: (on, trouble, lost) =>
    on
      ? `Messages are being saved again.${lost ? ` ${lost} have been lost.` : ""}`
      : `Messages are not being saved at the moment: ${trouble}`,
  reported: ({ by: author, name, room, why, waited, at }) =>
    `${author} has reported ${name}${room === "*" ? "" : ` in #${room}`}${waited ? ` (${new Date(at).toLocaleString()})` : ""}${because(why)}`,
  reportTaken: (kept) =>
    kept ? "Nobody in charge is here. Your report is kept for them." : "Your report was passed on to those in charge.",
  isAway: (name, text) => `${name} is away${because(text)}`,
  youAreAway: (text) => `You are now away${because(text)}`,
  youAreBack: "You are no longer away.",
  markedAway: (name) => `${name} (away)`,
  away: (names) => (names.length ? [`Away: ${names.join(", ")}`] : []),
  online: (names, room) => `${room ? `In ${words.room(room)}` : "Online"} (${names.length}): ${names.join(", ")}`,
  rooms: (rooms) =>
    rooms.map(
      (room) =>
        `#${room.room} (${room.people ?? 0} ${room.people === 1 ? "person" : "people"}${room.private ? ", private" : ""})${room.topic ? `: ${room.topic}` : ""}`,
    ),
  person: (person, since) => [
    `${person.name} has been here since ${since}${person.registered ? ", under a registered name" : ""}.`,
    ...(person.away === undefined ? [] : [words.isAway(person.name, person.away)]),
    ...(person.rooms?.length ? [`Rooms in common: ${person.rooms.map((room) => `#${room}`).join(", ")}`] : []),
  ],
  account: (change) =>
    ({
      registered: "Your name is registered now.",
      password: "Your password has been changed.",
      unregistered: "Your name is no longer registered.",
    })[change],
  secretFor: { register: "Register your name", password: "Change your password" },
  found: (count) => (count === 1 ? "1 message found:" : `${count} messages found:`),
  message: (time, name, text) => `[${time}] ${name}: ${text}`,
  emote: (name, text) => `${name} ${text}`,
  waiting: (name) => `${name} is away and will get this on coming back.`,
  fresh: "New",
  unread: (count) => `${count} new ↓`,
  latest: "Latest ↓",
  unreadLabel: (count, mentions) => `${count} unread${mentions ? `, ${mentions} for you` : ""}`,
  writing: (names) =>
    names.length > 3 ? "Several people are writing…" : `${names.join(", ")} ${names.length === 1 ? "is" : "are"} writing…`,
  notSent: "Perhaps not sent.",
  sendAgain: "Send again",
  discard: "Discard",
  unknownCommand: (name) => `/${name} is not a command. Type /help for a list.`,
  help: (usage, what) => `${usage} – ${what}`,
  usage: (name, args) => `Usage: /${name} ${args}`,
  tooLong: (most) => `A line can have at most ${most} bytes.`,
  noRoom: "This is a private conversation, not a room.",
  notHere: (name) => `You are not in #${name}.`,
  notifyOn: "Notifications are on",
  notifyOff: "Notify me",
  wrote: (name) => `${name} wrote to you`,
  mentioned: (name, room) => `${name} in ${words.room(room)}`,
  problem: "Something went wrong.",
};
