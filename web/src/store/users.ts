import type { User } from "../gen/polychat/user/v1/user_pb";
import { UserService } from "../gen/polychat/user/v1/user_service_pb";
import type { Api } from "../protocol/api";
import { asFailure } from "../protocol/failure";

const BATCH = 100;

/** Names for ids: asked for together, once each, and kept. */
export class Users {
  /** Grows when names became known. */
  version = 0;
  private readonly known = new Map<bigint, User>();
  private readonly wanted = new Set<bigint>();
  private asking = false;

  constructor(private readonly api: Api, private readonly changed: () => void) {}

  /** What to call the user; a dash until it is known. */
  name(userId: bigint): string {
    const user = this.known.get(userId);
    return user === undefined ? "–" : user.displayName || user.username;
  }

  add(users: readonly User[]): void {
    for (const user of users) this.known.set(user.userId, user);
    this.version += 1;
  }

  want(...userIds: bigint[]): void {
    for (const userId of userIds) {
      if (userId !== 0n && !this.known.has(userId)) this.wanted.add(userId);
    }
    if (this.wanted.size > 0 && !this.asking) {
      this.asking = true;
      queueMicrotask(() => void this.ask()); // one call for all that this task wants
    }
  }

  /** After a lost line: what could not be asked for then. */
  askAgain(): void {
    this.want();
  }

  private async ask(): Promise<void> {
    const userIds = [...this.wanted].slice(0, BATCH);
    try {
      const { users } = await this.api.call(UserService.method.batchGetUsers, { userIds });
      this.add(users);
      for (const userId of userIds) this.wanted.delete(userId);
      this.changed();
    } catch (error) {
      asFailure(error); // the ids stay wanted; the next want or the next connection asks again
      return;
    } finally {
      this.asking = false;
    }
    this.want();
  }
}
