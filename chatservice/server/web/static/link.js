// The connection to the server: requests and their answers, and coming back by itself.

const FIRST_PAUSE = 500; // milliseconds
const LONGEST_PAUSE = 30_000;
const SILENCE = 25_000; // after it we ask whether the server is still there; proxies give up after 60 s
const PATIENCE = 8_000; // for the answer

export class Refused extends Error {
  constructor(event) {
    super(event.message);
    this.code = event.code;
  }
}

export class Lost extends Error {}

export class Link {
  // `opened`, `heard(event)` and `closed(milliseconds until the next attempt)` are called.
  constructor(url, { opened, heard, closed }) {
    this.url = url;
    this.calls = { opened, heard, closed };
    this.waiting = new Map();
    this.attempts = 0;
    this.wanted = false;
    addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => this.wake());
    setInterval(() => this.wake(), 5_000);
  }

  start() {
    this.wanted = true;
    this.connect();
  }

  stop() {
    this.wanted = false;
    clearTimeout(this.timer);
    this.socket?.close();
  }

  settled() {
    this.attempts = 0;
  }

  retry() {
    if (!this.wanted || this.socket) return;
    clearTimeout(this.timer);
    this.connect();
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  tell(request) {
    if (this.isOpen) this.socket.send(JSON.stringify(request));
  }

  // Resolves with the answer. What comes after it may be heard by then: what has to be done in its place
  // is done by `answered`, which is called with it at once.
  ask(request, answered = () => {}) {
    return new Promise((resolve, reject) => {
      if (!this.isOpen) {
        reject(new Lost());
        return;
      }
      const ref = String((this.number = (this.number ?? 0) + 1));
      this.waiting.set(ref, { resolve, reject, answered });
      this.socket.send(JSON.stringify({ ...request, ref }));
    });
  }

  connect() {
    const socket = new WebSocket(this.url);
    this.socket = socket;
    this.heardAt = Date.now();
    this.asked = false;
    socket.onopen = () => this.calls.opened();
    socket.onmessage = ({ data }) => {
      this.heardAt = Date.now();
      this.asked = false;
      for (const line of data.split("\n")) this.hear(JSON.parse(line));
    };
    socket.onclose = () => {
      if (this.socket === socket) this.lose();
    };
  }

  hear(event) {
    const waiting = event.ref === undefined ? undefined : this.waiting.get(event.ref);
    if (!waiting) {
      this.calls.heard(event);
      return;
    }
    this.waiting.delete(event.ref);
    if (event.type === "error") {
      waiting.reject(new Refused(event));
      return;
    }
    waiting.answered(event);
    waiting.resolve(event);
  }

  lose() {
    this.socket = undefined;
    const waiting = [...this.waiting.values()];
    this.waiting.clear();
    for (const { reject } of waiting) reject(new Lost());
    if (!this.wanted) return;
    const pause = Math.min(FIRST_PAUSE * 2 ** this.attempts, LONGEST_PAUSE) * (0.75 + Math.random() / 2);
    this.attempts += 1;
    this.timer = setTimeout(() => this.connect(), pause);
    this.calls.closed(pause);
  }

  // Whether the server is still there is noticed late, or never, after the machine has slept.
  wake() {
    if (!this.wanted || document.visibilityState === "hidden") return;
    if (!this.socket) return;
    const silent = Date.now() - this.heardAt;
    if (this.asked && silent > SILENCE + PATIENCE && Date.now() - this.askedAt > PATIENCE) {
      const { socket } = this;
      socket.onclose = socket.onmessage = null;
      socket.close();
      this.lose();
    } else if (!this.asked && silent > SILENCE && this.isOpen) {
      this.asked = true;
      this.askedAt = Date.now();
      this.ask({ type: "who" }).catch(() => {});
    }
  }
}
