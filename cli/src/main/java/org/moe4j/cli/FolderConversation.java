package org.moe4j.cli;

import java.util.Optional;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import org.moe4j.models.Sampling;
import org.moe4j.train.Chat;

/** A conversation with a model in a folder. */
record FolderConversation(Chat chat, Sampling sampling, int maxTokens) implements Conversation {
  @Override
  public Optional<String> system() {
    return chat.system();
  }

  @Override
  public void reset(Optional<String> system) {
    chat.reset(system);
  }

  @Override
  public boolean ask(String question, Consumer<String> onText, BooleanSupplier goesOn) {
    // Each answer draws anew, and the same questions draw the same.
    Sampling drawn =
        new Sampling(
            sampling.temperature(),
            sampling.topK(),
            sampling.topP(),
            sampling.seed() + chat.questions());
    return chat.ask(question, maxTokens, drawn, onText, goesOn).tokens() == maxTokens;
  }

  @Override
  public void close() {
    chat.close();
  }
}
