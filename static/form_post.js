// Posts an authorization response to the client at once. The page has a button for when this does not run.
document.querySelector("form[data-submit]").submit();
