// What jsdom does otherwise than browsers, put right before each file of tests that have a page.

// Browsers take a missing type for "any", as htmx does; jsdom refuses it.
const { evaluate } = XPathExpression.prototype;
XPathExpression.prototype.evaluate = function (node, type = XPathResult.ANY_TYPE, result = null) {
  return evaluate.call(this, node, type, result);
};
