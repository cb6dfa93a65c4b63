/** Empties the outbox: hands what may go to the session, and puts the answers back. */
import type { RoomEvent } from "../gen/polychat/event/v1/room_event_pb";
import { asFailure } from "../protocol/failure";
import type { Outbox, Outgoing } from "../protocol/outbox";
import type { Session, World } from "../protocol/session";

export class Sender {
  private cancelTimer: () => void = () => {};

  constructor(
    private readonly outbox: Outbox,
    private readonly session: Session,
    private readonly world: World,
    /** How far the copy of a room goes. */
    private readonly cursor: (roomId: bigint) => bigint,
    private readonly changed: () => void,
  ) {}

  /** Sends whatever may go now; call it after every change that could let something go. */
  pump(): void {
    if (this.session.state.name !== "live") return;
    const now = this.world.now();
    for (const entry of this.outbox.take(now)) void this.send(entry);
    this.cancelTimer();
    const next = this.outbox.nextTime();
    if (next !== null) this.cancelTimer = this.world.later(Math.max(0, next - now), () => this.pump());
    this.changed();
  }

  /** These events of this person are in the copies now; their messages need not be shown as on their way. */
  committed(events: readonly RoomEvent[]): void {
    const requestIds = new Set(events.map((event) => event.requestId));
    this.outbox.settle((entry) => requestIds.has(entry.requestId));
    this.settle();
    this.pump();
  }

  private async send({ requestId, roomId, text }: Outgoing): Promise<void> {
    try {
      const reply = await this.session.request({ case: "send", value: { requestId, roomId, text } });
      if (reply.case === "sent") this.outbox.sent(requestId, reply.value.sequence);
      this.settle();
    } catch (error) {
      const { reason, retryable, retryAfter } = asFailure(error);
      // Without a connection there was no answer at all: `disconnected` has put it back already.
      if (this.session.state.name !== "live") return;
      this.outbox.refused(requestId, reason, retryable, retryAfter, this.world.now());
    }
    this.pump();
  }

  /** What was sent before a reload is in the copy already when its answer comes. */
  private settle(): void {
    this.outbox.settle((entry) => entry.state === "sent" && entry.sequence <= this.cursor(entry.roomId));
  }
}
