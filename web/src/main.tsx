import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ChatPage } from "./pages/chat_page";
import { SignInPage } from "./pages/sign_in_page";
import { Account } from "./store/account";
import { useWatch } from "./store/hooks";
import { goToRoom } from "./store/route";
import "./styles/base.css";
import "./styles/controls.css";
import "./styles/chat.css";
import "./styles/conversation.css";
import "./styles/composer.css";
import "./styles/dialog.css";

const account = new Account();

function Page() {
  const chat = useWatch(account, () => account.chat);
  const notice = useWatch(account, () => account.notice);
  if (chat === null) return <SignInPage account={account} notice={notice} />;
  const signOut = (): void => {
    goToRoom(null);
    void account.logout();
  };
  return <ChatPage key={String(chat.me.userId)} chat={chat} onSignOut={signOut} />;
}

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root");
createRoot(root).render(<StrictMode><Page /></StrictMode>);
