package org.moe4j.train;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import org.moe4j.models.PrefixCache;
import org.moe4j.models.Sampling;
import org.moe4j.models.chat.ChatTemplate;
import org.moe4j.tensor.MoeException;

/**
 * A conversation with a model in the form of its chat template. What a turn has in common with the
 * one before is not computed again.
 */
public final class Chat implements AutoCloseable {
  private final LanguageModel language;
  private final ChatTemplate template;
  private final PrefixCache kept;
  private final List<Map<String, String>> turns = new ArrayList<>();
  private Optional<String> system;

  /**
   * An empty conversation.
   *
   * @param language closed with this
   * @param system the system message, if there is to be one
   */
  public Chat(LanguageModel language, ChatTemplate template, Optional<String> system) {
    this.language = language;
    this.template = template;
    this.system = system;
    this.kept = new PrefixCache(language.model());
  }

  /** The chat template of the model that {@code path} stands for, see {@link ChatTemplate#read}. */
  public static ChatTemplate template(Path path) {
    return ChatTemplate.read(LanguageModel.decoderFolder(path));
  }

  /** Begins anew with another system message, or none. */
  public void reset(Optional<String> system) {
    this.system = system;
    turns.clear();
  }

  /** The system message. */
  public Optional<String> system() {
    return system;
  }

  /** The number of questions so far. */
  public int questions() {
    return turns.size() / 2;
  }

  /**
   * The model's answer to {@code question}. A question that fails leaves the conversation as it
   * was; an answer cut short belongs to it.
   *
   * @param onText told of the answer as it comes, in whole characters
   * @param goesOn asked after every token; false ends the answer there
   * @throws MoeException if the template refuses the messages or the conversation is too long
   */
  public LanguageModel.Continuation ask(
      String question,
      int maxTokens,
      Sampling sampling,
      Consumer<String> onText,
      BooleanSupplier goesOn) {
    List<Map<String, String>> messages = new ArrayList<>();
    system.ifPresent(text -> messages.add(message("system", text)));
    messages.addAll(turns);
    messages.add(message("user", question));
    int[] ids = language.tokenizer().encode(template.render(messages, true));
    int most = language.model().config().maxPositions();
    if (ids.length > most) {
      throw new MoeException(
          "the conversation has "
              + ids.length
              + " tokens, the model takes "
              + most
              + "; /reset begins a new one");
    }
    LanguageModel.Continuation answer =
        language.generate(ids, maxTokens, sampling, kept, onText, goesOn);
    turns.add(message("user", question));
    turns.add(message("assistant", answer.text()));
    return answer;
  }

  private static Map<String, String> message(String role, String content) {
    return Map.of("role", role, "content", content);
  }

  /** Frees the model and what was kept of the conversation. */
  @Override
  public void close() {
    kept.close();
    language.close();
  }
}
