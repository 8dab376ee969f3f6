package org.moe4j.cli;

import java.util.Optional;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/** A conversation with a model, of either kind. */
interface Conversation extends AutoCloseable {
  /** The system message. */
  Optional<String> system();

  /** Begins anew with another system message, or none. */
  void reset(Optional<String> system);

  /**
   * The model's answer to {@code question}. A question that fails leaves the conversation as it
   * was; an answer cut short belongs to it.
   *
   * @param onText told of the answer as it comes
   * @param goesOn asked after every token; false ends the answer there
   * @return whether it was cut off at the most tokens
   */
  boolean ask(String question, Consumer<String> onText, BooleanSupplier goesOn);

  @Override
  void close();
}
