"""What a run says about itself: figures as plain JSON, and the page that shows them."""
