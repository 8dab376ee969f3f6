package org.moe4j.cli;

import java.io.PrintWriter;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import org.moe4j.engine.EngineException;
import org.moe4j.tensor.MoeException;

/** Reads messages and commands and prints answers, until there are no more. */
final class ChatLoop {
  private static final String HELP =
      """
      /reset            forget the conversation
      /system TEXT      begin anew with this system message; without TEXT: with none
      /exit             end, as Ctrl-D
      Ctrl-C            stop the answer; at the prompt: throw the line away
      """;

  private final Conversation chat;
  private final ChatLines lines;
  private final PrintWriter out;
  private final PrintWriter err;
  private final int maxTokens;

  ChatLoop(Conversation chat, ChatLines lines, PrintWriter out, PrintWriter err, int maxTokens) {
    this.chat = chat;
    this.lines = lines;
    this.out = out;
    this.err = err;
    this.maxTokens = maxTokens;
  }

  /** The exit status: a question of a plain stream that fails ends it. */
  int run() {
    for (Optional<String> line = lines.next(); line.isPresent(); line = lines.next()) {
      String text = line.get();
      if (!lines.interactive()) {
        ask(text);
      } else if (text.strip().equals("/exit")) {
        break;
      } else if (text.startsWith("/")) {
        command(text.strip());
      } else {
        try {
          ask(text);
        } catch (MoeException | EngineException e) {
          err.println("moe: " + Failure.describe(e));
        }
      }
    }
    return Moe.DONE;
  }

  private void command(String line) {
    String[] words = line.split("\\s+", 2);
    switch (words[0]) {
      case "/help" -> out.print(HELP);
      case "/reset" -> chat.reset(chat.system());
      case "/system" -> chat.reset(words.length < 2 ? Optional.empty() : Optional.of(words[1]));
      default -> out.println("unknown command " + words[0] + "; /help shows them");
    }
    out.flush();
  }

  private void ask(String question) {
    AtomicBoolean stopped = new AtomicBoolean();
    try (ChatLines.Watch watch = lines.onInterrupt(() -> stopped.set(true))) {
      boolean cut = chat.ask(question, this::print, () -> !stopped.get()) && lines.interactive();
      out.println(cut ? " [--max-tokens " + maxTokens + " reached]" : "");
    }
    out.flush();
  }

  private void print(String part) {
    out.print(lines.interactive() ? ModelText.harmless(part) : part);
    out.flush();
  }
}
